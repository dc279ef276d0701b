"""Networks on several chips, side by side."""
