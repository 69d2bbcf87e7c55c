"""A task of its own in a few lines: a network that tells how bright an image is."""
