"""Mean and standard deviation to normalise images with, importable without torch."""

from __future__ import annotations

# ImageNet's training images, RGB in [0, 1], as torchvision's pre-trained weights expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# The mean colour, RGB, 0 to 255. It fills the area beyond an image, since it normalises to zero.
MEAN_COLOUR = (124, 116, 104)
