"""Network x System -> Placement: what is held where, and where its results go."""
