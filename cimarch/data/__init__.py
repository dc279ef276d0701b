"""Data sets: inputs that judge a chip, and others that calibrate it."""
