"""A record as text, tables and pictures; plain values in, nothing of torch."""
