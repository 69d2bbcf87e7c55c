"""Semantic segmentation: everything that only this task needs."""
