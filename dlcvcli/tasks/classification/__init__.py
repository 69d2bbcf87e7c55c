"""Image classification: everything that only this task needs."""
