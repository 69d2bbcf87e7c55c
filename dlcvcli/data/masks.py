"""Annotation files to class ids, and class ids to palette PNGs."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlcvcli.data.reading import decode, enough_memory, read_bytes
from dlcvcli.errors import DataError
from dlcvcli.palette import (
    OFF_TABLE,
    ClassSet,
    Mask,
    decode_colours,
    palette_table,
    require_ids,
)

# A palette shorter than this can be a grey ramp by chance.
_RAMP_LENGTH = 16
_BINARY_CUT = 128
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "PA", "L", "LA"})
_GREY_MODES = frozenset({"L", "1", "I", "I;16", "I;16B", "LA"})


def read_mask(path: Path, classes: ClassSet, *, binarise: bool = False) -> Mask:
    """Read an annotation file as class ids; see `decode_mask`."""
    return decode_mask(read_bytes(path), path, classes, binarise=binarise)


def decode_mask(content: bytes, path: Path, classes: ClassSet, *, binarise: bool = False) -> Mask:
    """Decode an annotation to class ids, uint8 [H, W].

    Grey images hold ids. Palette images hold ids too, unless their palette is an arbitrary order
    of the class colours; the palette is read as such, never converted to RGB first. Colour images
    are looked up in the class set's colours. `binarise` cuts each channel to 0 or 255 at 128 first,
    for masks that were stored with loss; a grey image is then a colour image in black and white.

    Raises:
        DataError: the file cannot be decoded, or holds an id or colour off the table; names the
            file, the values and their number.
    """
    with enough_memory(path):
        image = decode(content, path).image
    if image.mode == "P":
        mask = _from_palette(image, classes, path)
    elif image.mode in _GREY_MODES and not (binarise and image.mode in {"L", "LA"}):
        mask = _from_ids(np.asarray(image.getchannel(0) if image.mode == "LA" else image), path)
    elif image.mode not in _COLOUR_MODES:
        raise DataError(
            f"{path} is no mask: its pixels are of mode {image.mode}",
            "store class ids as an 8-bit grey image, or the class colours as RGB",
        )
    else:
        pixels = np.asarray(image.convert("RGB"))
        if binarise:
            pixels = np.where(pixels >= _BINARY_CUT, np.uint8(255), np.uint8(0))
        mask = _from_colours(pixels, classes, path)
    require_ids(mask, classes, str(path))
    return mask


def read_written_mask(path: Path) -> Mask:
    """Return the ids of a mask that `write_mask` wrote, without a class set to hold them against.

    Raises:
        DataError: the file cannot be decoded.
    """
    with enough_memory(path):
        return np.asarray(decode(read_bytes(path), path).image)


def _from_ids(ids: NDArray[np.generic], path: Path) -> Mask:
    if ids.dtype == np.uint8:
        return np.asarray(ids, dtype=np.uint8)
    if ids.size and (ids.min() < 0 or ids.max() > 255):
        raise DataError(f"{path}: ids reach from {ids.min()} to {ids.max()}; 0 to 255 are possible")
    return ids.astype(np.uint8)


def _from_palette(image: Image.Image, classes: ClassSet, path: Path) -> Mask:
    ids = np.asarray(image)
    palette = np.asarray(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    ramp = np.repeat(np.arange(len(palette), dtype=np.uint8)[:, None], 3, axis=1)
    if len(palette) >= _RAMP_LENGTH and np.array_equal(palette, ramp):
        return ids
    used = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
    if used.max(initial=0) >= len(palette):
        return ids
    meaning = decode_colours(palette[None], classes)[0]
    count = len(classes)
    free = used == classes.ignore_index
    # The palette of the class set itself is black where it has no class, and black may be a class:
    # an id off the table must stay one.
    if np.array_equal(meaning[:count], np.arange(count)):
        return ids
    if bool(np.all((meaning[used] == used) | free)):
        return ids
    # Where both readings fit, as in a tile of one class whose palette has black for its id and the
    # class set has black for another, the colours that this mask does not use tell which is meant.
    if bool(np.all((used < count) | free)) and bool(np.any(meaning[:count] == OFF_TABLE)):
        return ids
    if bool(np.all(meaning[used] != OFF_TABLE)):
        return np.asarray(meaning.astype(np.uint8)[ids])
    return ids


def _from_colours(pixels: NDArray[np.uint8], classes: ClassSet, path: Path) -> Mask:
    ids = decode_colours(pixels, classes)
    off = ids == OFF_TABLE
    if off.any():
        strange = np.unique(pixels[off], axis=0)
        shown = ", ".join(str(tuple(int(v) for v in colour)) for colour in strange[:3])
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise DataError(
            f"{path}: colour {shown}{more} is not in the table of '{classes.name}'; "
            f"{int(off.sum()):,} of {off.size:,} pixels",
            "choose the class set with --classes; if the masks were stored with loss, "
            "--set data.binarise=true (--binarise of `dlcv data`) cuts each channel at 128",
        )
    return ids.astype(np.uint8)


def write_mask(
    path: Path | IO[bytes], mask: Mask, classes: ClassSet, *, compress_level: int = 6
) -> None:
    """Write class ids [H, W] as a palette PNG in the classes' colours."""
    image = Image.fromarray(mask)
    image.putpalette(palette_table(classes).tobytes())
    image.save(path, format="PNG", compress_level=compress_level)
