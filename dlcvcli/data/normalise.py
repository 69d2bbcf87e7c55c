"""The statistics that images are normalised with, in one place and without torch."""

from __future__ import annotations

# Of ImageNet's training images, RGB in [0, 1]: what torchvision's pre-trained weights expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

# The mean colour, 0 to 255: what fills the space beyond an image, since it normalises to zero.
MEAN_COLOUR = (124, 116, 104)
