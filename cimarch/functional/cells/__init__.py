"""Cells, wires and converters that are not ideal: what they conduct, drift and add."""
