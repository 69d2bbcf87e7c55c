"""Write image files, completely or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from dlcvcli.data.reading import Pixels
from dlcvcli.files import write_atomically


def write_encoded(path: Path, content: bytes) -> None:
    """Write the bytes of an image file.

    The bytes are not synced to the disk: there may be thousands of files, and all can be computed
    again.

    Raises:
        DlcvError: the file cannot be written; no incomplete file is left.
    """
    write_atomically(path, content, sync=False)


def encode_image(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """Return the bytes of an image file; `options` are Pillow's for the format."""
    content = io.BytesIO()
    image.save(content, image_format, **options)
    return content.getvalue()


def write_image(path: Path, pixels: Pixels, image_format: str, **options: Any) -> None:
    """Write pixels, uint8 [H, W] or [H, W, 3], as an image file; see `write_encoded`."""
    write_encoded(path, encode_image(Image.fromarray(pixels), image_format, **options))
