"""Network x System to Placement."""
