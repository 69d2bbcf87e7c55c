"""Typed settings, and how their sources are merged."""
