"""Torch modules that compute as the chip does, and train through it."""
