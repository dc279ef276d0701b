"""Text to System."""
