"""Image sizes in settings and flags; imports no other library."""

from __future__ import annotations

import re
from typing import Any

from dlcvcli.errors import UsageError, shorten

# 8192 x 8192 pixels: a float32 image of that size takes 0.8 GB.
MAX_PIXELS = 2**26


def parse_size(value: Any) -> Any:
    """Return (H, W) for 'HxW', [H, W] or, for a square, one number."""
    if isinstance(value, str):
        # At most 9 digits: Python refuses to convert thousands of them.
        match = re.fullmatch(r"\s*(\d{1,9})(?:\s*[xX]\s*(\d{1,9}))?\s*", value)
        if match is None:
            raise ValueError(f"'{shorten(value)}' is not HxW, e.g. 256x256")
        return int(match[1]), int(match[2] or match[1])
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    return tuple(value) if isinstance(value, list) else value


def check_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return a size (height, width) if its number of pixels is valid.

    Raises:
        ValueError: it has no pixels, or more than `MAX_PIXELS`.
    """
    height, width = size
    if not (height >= 1 and width >= 1 and height * width <= MAX_PIXELS):
        raise ValueError(
            f"{height}x{width} is not a valid size: an image has 1 to {MAX_PIXELS:,} pixels "
            "(8192x8192)"
        )
    return size


def read_size(text: str, flag: str = "--size") -> tuple[int, int]:
    """Return (height, width) from the value of a flag.

    Raises:
        UsageError: the value is not HxW, or not a valid size.
    """
    try:
        return check_size(parse_size(text))
    except ValueError as error:
        raise UsageError(f"{flag}: {error}") from None
