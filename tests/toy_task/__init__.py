"""A complete small task: a network that predicts the brightness of an image."""
