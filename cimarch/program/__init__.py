"""Placement to task table."""
