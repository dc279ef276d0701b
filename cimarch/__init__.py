"""Describe a compute-in-memory chip, hand in a network: a map, cycles, joules, utilisation."""

__version__ = "0.1.0"
