"""The elaborated hardware."""
