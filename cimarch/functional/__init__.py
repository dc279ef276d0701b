"""What a described chip would compute, bit for bit: cells, steps, conversions and digital sums."""
