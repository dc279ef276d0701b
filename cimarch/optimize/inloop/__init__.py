"""Training with the chip in the loop: whole numbers first, then its converters."""
