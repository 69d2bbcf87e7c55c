"""Tasks: what a network is trained for; each owns its loss and its parameter groups."""
