"""Figures, each made again from what a run folder holds."""
