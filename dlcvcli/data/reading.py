"""Decoding images and reading ahead: the one way in which pixels enter dlcv.

Training, evaluation under PyTorch and ONNX Runtime, and prediction all read through this file, so
that they see the same pixels. It needs numpy and Pillow only.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dlcvcli.errors import DataError

A = TypeVar("A")
B = TypeVar("B")

Pixels = NDArray[np.uint8]

Progress = Callable[[int, int], None]
"""Called with how many are done and how many there are."""

# Pillow takes more than 89 million pixels for an attack on memory, and warns; a satellite scene of
# 10,000 x 10,000 is none. It still refuses what decodes to more than 3 GB.
Image.MAX_IMAGE_PIXELS = 500_000_000

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm"})

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LIES_ON_ITS_SIDE = frozenset({5, 6, 7, 8})
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def is_image(path: Path) -> bool:
    """Return whether a file's name ends like an image's and it is not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def open_image(content: bytes, path: Path) -> Image.Image:
    """Decode an image's bytes fully.

    Raises:
        DataError: the bytes are no image, or end too early; names the file.
    """
    return _open(content, path)[0]


def _open(content: bytes, path: Path) -> tuple[Image.Image, int]:
    """Decode an image's bytes fully, and say how it has still to be turned."""
    try:
        image = Image.open(io.BytesIO(content))
        orientation = _orientation(image)
        image.load()
    except UnidentifiedImageError as error:
        raise DataError(f"{path} is not an image that can be read") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        detail = " ".join(str(error).split())
        raise DataError(
            f"{path} cannot be decoded: {detail}", "the file is damaged: replace or remove it"
        ) from error
    return image, orientation


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image whose pixels are not decoded yet, 1 for upright."""
    # Pillow turns a TIFF itself, and gives the size of the turned one from the start.
    if image.format == "TIFF":
        return 1
    # A PNG may say it behind its pixels too, where only decoding all of them would find it.
    if image.format == "PNG" and not image.info.keys() & {"exif", "Raw profile type exif"}:
        return 1
    value = image.getexif().get(_ORIENTATION)
    return value if isinstance(value, int) else 1


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error


def decode_rgb(content: bytes, path: Path) -> Pixels:
    """Decode an image to RGB, uint8 [H, W, 3], turned as its EXIF orientation says.

    Raises:
        DataError: it cannot be decoded, or has more than 8 bits a channel, which a plain
            conversion would clip.
    """
    image, orientation = _open(content, path)
    if image.mode in _DEEP_MODES:
        raise DataError(
            f"{path} has more than 8 bits a channel (mode {image.mode})",
            "scale it to 8 bits first",
        )
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def read_rgb(path: Path) -> Pixels:
    """Read an image file as RGB, uint8 [H, W, 3]; see `decode_rgb`."""
    return decode_rgb(read_bytes(path), path)


def image_size(path: Path) -> tuple[int, int]:
    """Return (height, width) from an image's header, as `read_rgb` would give it.

    Raises:
        DataError: the header cannot be read.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = _orientation(image) in _LIES_ON_ITS_SIDE
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} is not an image that can be read") from error
    return (width, height) if turned else (height, width)


def stretch(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize RGB to (height, width): bilinear with antialiasing, as Pillow does it."""
    if image.shape[:2] == size:
        return image
    height, width = size
    return np.asarray(
        Image.fromarray(image).resize((width, height), resample=Image.Resampling.BILINEAR)
    )


def read_ahead(
    function: Callable[[A], B], items: Iterable[A], *, threads: int, ahead: int
) -> Iterator[B]:
    """Apply `function` to each item in threads, and yield the results in the items' order.

    Decoding releases the interpreter's lock, so threads suffice. At most `ahead` results wait, so
    memory does not grow with the number of items. An exception is raised where its item stands.
    """
    if threads < 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="dlcv-read") as pool:
        waiting: deque[Future[B]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
