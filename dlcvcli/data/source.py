"""What training reads its images from, whatever the task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from dlcvcli.data.reading import Pixels
from dlcvcli.palette import Mask


class ImageSample(Protocol):
    """A decoded image, with a mask or without."""

    @property
    def image(self) -> Pixels:
        """uint8 [H, W, 3], RGB."""

    @property
    def mask(self) -> Mask | None:
        """uint8 [h, w], class ids; None in a set without masks."""


class ImageSource(Protocol):
    """The images of one split, read one by one."""

    @property
    def files(self) -> Sequence[Path]:
        """The image files."""

    @property
    def size(self) -> tuple[int, int] | None:
        """(height, width) that every image is stretched to; None where each keeps its own."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> ImageSample:
        """Read and decode one sample.

        Raises:
            DataError: a file cannot be read or decoded.
        """
