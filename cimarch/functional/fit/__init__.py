"""What is chosen on data: scales of weights and inputs, ranges of converters; and their files."""
