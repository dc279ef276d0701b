"""Where the numbers of a system and of a report come from."""
