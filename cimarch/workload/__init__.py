"""Model files to Networks."""
