"""Decode image files, and read ahead in threads.

Training, evaluation under PyTorch and ONNX Runtime, and prediction all read images through this
module, so that they see the same pixels. It needs numpy and Pillow only.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
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
"""Called with (items done, items in all)."""

FORMATS = {
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "BMP": (".bmp",),
    "PPM": (".ppm",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""Pillow's name of each format that dlcv reads -> its file suffixes.

Files are recognised by their content. No other decoder of Pillow is tried, since some start other
programs (EPS starts Ghostscript).
"""

IMAGE_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)

MAX_PIXELS = 1_000_000_000
"""Number of pixels of the largest image that is decoded, which takes 3 GB as RGB."""

# Pillow's own limit is 89 million pixels; a satellite scene of 10,000 x 10,000 has more.
Image.MAX_IMAGE_PIXELS = None

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
_INVERSE = {6: 8, 8: 6}
_LIES_ON_ITS_SIDE = frozenset({5, 6, 7, 8})
# Pillow rotates the pixels of a TIFF itself, and reports its size after the rotation.
_SELF_ROTATED = frozenset({"TIFF"})
_BITS_PER_SAMPLE = 258
_DEEP_MODES = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


def is_image(path: Path) -> bool:
    """Return whether a file has an image suffix and is not hidden."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


@contextmanager
def enough_memory(path: Path) -> Iterator[None]:
    """Turn a MemoryError into a DataError that names the file.

    Raises:
        DataError: memory ran out within the context.
    """
    try:
        yield
    except MemoryError as error:
        raise DataError(
            f"not enough memory to decode {path}",
            "free memory, or split the image into smaller ones",
        ) from error


@contextmanager
def _open(source: io.BytesIO | Path, path: Path) -> Iterator[Image.Image]:
    """Open an image without decoding its pixels; every image is opened here.

    Raises:
        DataError: it cannot be opened, or an operation on it within the context fails.
    """
    try:
        with Image.open(source, formats=tuple(FORMATS)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise DataError(
                    f"{path} has {width} x {height} pixels; "
                    f"at most {MAX_PIXELS:,} pixels can be read",
                    "split it into smaller images",
                )
            yield image
    except (DataError, MemoryError):
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path} is not an image in a format that dlcv reads ({', '.join(FORMATS)})",
            "convert it, for instance to PNG; if it has one of these formats, it is damaged",
        ) from error
    # For a damaged file, each of Pillow's decoders raises errors of other types.
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"cannot read {path}: {error.strerror}") from error
        detail = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{path} cannot be decoded: {detail}", "the file is damaged: replace or remove it"
        ) from error


@dataclass(frozen=True)
class Decoded:
    """A decoded image file.

    Attributes:
        image: the pixels, rotated by the EXIF orientation.
        orientation: that orientation, 2 to 8; 1 if the pixels are stored upright.
        deep: whether the file has more than 8 bits per channel. Pillow keeps only the upper 8 bits
            of colours, and `image.mode` does not show that.
        spread: whether grey values of less than 8 bits were spread over 0..255, e.g. 0 to 3 to
            0, 85, 170, 255.
    """

    image: Image.Image
    orientation: int
    deep: bool
    spread: bool


def decode(content: bytes, path: Path) -> Decoded:
    """Return the image of a file's bytes, decoded completely.

    Raises:
        DataError: the format is not one of `FORMATS`, the bytes are damaged or end too early, or
            there are more than `MAX_PIXELS` pixels; names the file.
    """
    with _open(io.BytesIO(content), path) as image:
        # Before the pixels are decoded, since Pillow drops some of this information then.
        orientation, deep, spread = _orientation(image), _is_deep(image), _is_spread(image)
        image.load()
    upright = image if image.format in _SELF_ROTATED else _rotate(image, orientation)
    return Decoded(upright, orientation, deep, spread)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image whose pixels are not decoded yet; 1 is upright."""
    # A PNG may have it behind its pixels, where only decoding all of them would find it.
    if image.format == "PNG" and not image.info.keys() & {"exif", "Raw profile type exif"}:
        return 1
    value = image.getexif().get(_ORIENTATION)
    return value if value in _UPRIGHT else 1


def _rotate(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation != 1 else image


def rotate_mask(mask: Pixels, orientation: int, *, back: bool = False) -> Pixels:
    """Return a mask, uint8 [H, W], rotated upright by an EXIF orientation, or back as stored."""
    if back:
        orientation = _INVERSE.get(orientation, orientation)
    return np.asarray(_rotate(Image.fromarray(mask), orientation))


def _is_deep(image: Image.Image) -> bool:
    """Return whether an image whose pixels are not decoded yet has more than 8 bits per channel."""
    if image.mode in _DEEP_MODES:
        return True
    if image.format == "TIFF":
        bits: tuple[int, ...] = image.tag_v2.get(_BITS_PER_SAMPLE, (8,))  # type: ignore[attr-defined]
        return max(bits) > 8
    stored = _stored_as(image)
    return ";16" in stored if isinstance(stored, str) else stored[1] > 255


def _is_spread(image: Image.Image) -> bool:
    """Return whether decoding spreads grey values of less than 8 bits over 0..255."""
    stored = _stored_as(image)
    return stored in {"L;2", "L;4"} if isinstance(stored, str) else stored[1] < 255


def _stored_as(image: Image.Image) -> str | tuple[str, int]:
    """Return how the pixels of a PNG or PPM are stored; empty for other formats.

    That is such as `RGB;16B`, or (`RGB`, the largest value) of a PPM.
    """
    tiles = getattr(image, "tile", ()) if image.format in {"PNG", "PPM"} else ()
    return tiles[0][3] if tiles else ""


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
    """Return an image as RGB, uint8 [H, W, 3], rotated by its EXIF orientation.

    Raises:
        DataError: it cannot be decoded, or has more than 8 bits per channel.
    """
    return decode_oriented_rgb(content, path)[0]


def decode_oriented_rgb(content: bytes, path: Path) -> tuple[Pixels, int]:
    """Return the result of `decode_rgb` and the EXIF orientation that it was rotated by."""
    with enough_memory(path):
        decoded = decode(content, path)
        return _to_rgb(decoded, path), decoded.orientation


def _to_rgb(decoded: Decoded, path: Path) -> Pixels:
    """Return a decoded image as RGB, uint8 [H, W, 3].

    Raises:
        DataError: it has more than 8 bits per channel. The range of values in use is unknown:
            scaling 12 bits that are stored in 16 would make the image nearly black.
    """
    image = decoded.image
    if decoded.deep:
        raise DataError(
            f"{path} has more than 8 bits per channel (mode {image.mode})",
            "convert it to 8 bits per channel first",
        )
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def read_rgb(path: Path) -> Pixels:
    """Return an image file as RGB, uint8 [H, W, 3]; see `decode_rgb`."""
    return decode_rgb(read_bytes(path), path)


def image_size(path: Path) -> tuple[int, int]:
    """Return the (height, width) of `read_rgb`'s result, from the image's header alone.

    Raises:
        DataError: the header cannot be read.
    """
    with _open(path, path) as image:
        width, height = image.size
        orientation = _orientation(image)
        sideways = orientation in _LIES_ON_ITS_SIDE and image.format not in _SELF_ROTATED
    return (width, height) if sideways else (height, width)


def stretch(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Return RGB, uint8 [H, W, 3], resized to (height, width) by Pillow's antialiased bilinear."""
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

    Decoding releases the interpreter's lock, so threads suffice. At most `ahead` results are kept
    waiting, so memory does not grow with the number of items. An exception is raised in place of
    its item's result.
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
