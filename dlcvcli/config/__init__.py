"""Typed settings: what a command can be told, and how the layers are merged."""
