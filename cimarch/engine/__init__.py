"""Task table to timeline."""
