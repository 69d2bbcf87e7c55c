"""Data sets: recognise their layouts, read and augment their images, draw synthetic sets."""
