"""Decode annotation files to class ids, and encode class ids as palette PNGs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlcvcli.data.reading import Decoded, decode, enough_memory, read_bytes, rotate_mask
from dlcvcli.data.writing import encode_image, write_encoded
from dlcvcli.errors import DataError
from dlcvcli.palette import (
    OFF_TABLE,
    ClassSet,
    Mask,
    decode_colours,
    default_colours,
    palette_table,
    require_ids,
)

# The colours of a shorter palette can be in such an order by chance.
_AMBIGUOUS_LENGTH = 16
_VOC_COLOURS = frozenset(default_colours(256))
_VOC_PALETTE = np.array(default_colours(256), dtype=np.uint8)
_PALETTE_HINT = (
    "choose the class set with --classes; if the mask holds ids, store it as an 8-bit grey image, "
    "or give its classes the colours of its palette in a class file"
)
_BINARY_THRESHOLD = 128
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "PA", "L", "LA"})
_GREY_MODES = frozenset({"L", "1", "I", "I;16", "I;16B", "LA"})


def read_mask(path: Path, classes: ClassSet, *, binarise: bool = False) -> Mask:
    """Return an annotation file as class ids, uint8 [H, W]; see `decode_mask`."""
    return decode_mask(read_bytes(path), path, classes, binarise=binarise)


def decode_mask(content: bytes, path: Path, classes: ClassSet, *, binarise: bool = False) -> Mask:
    """Return an annotation as class ids, uint8 [H, W], rotated by its EXIF orientation.

    Grey values are ids. The pixels of a palette image are ids if the palette is known to belong to
    ids, else colours; see `_from_palette`. Colours are looked up in the class set. `binarise` first
    rounds each channel to 0 or 255, for masks that were stored in a lossy format; a grey image is
    then a colour image in black and white.

    Raises:
        DataError: the file cannot be decoded, or holds an id or colour that is not in the class
            set; names the file, the values and the number of pixels.
    """
    return decode_oriented_mask(content, path, classes, binarise=binarise)[0]


def decode_oriented_mask(
    content: bytes, path: Path, classes: ClassSet, *, binarise: bool = False
) -> tuple[Mask, int]:
    """Return the result of `decode_mask` and the EXIF orientation that it was rotated by."""
    with enough_memory(path):
        decoded = decode(content, path)
        mask = _to_ids(decoded, classes, path, binarise)
        require_ids(mask, classes, str(path))
        return mask, decoded.orientation


def match_orientation(
    mask: Mask, rotated: int, image_rotated: int, shape: tuple[int, ...]
) -> tuple[Mask, bool]:
    """Return a mask rotated as its image was, and whether that is unclear.

    A mask is drawn either on the image as programs display it or on the pixels as they are stored,
    and seldom has an EXIF orientation of its own. The sizes show which, unless both fit.

    Args:
        mask: as decoded.
        rotated, image_rotated: the EXIF orientations that mask and image were rotated by.
        shape: (height, width) of the rotated image.

    Returns:
        The mask, with another shape than the image if no rotation fits; and whether both ways fit
        and give different masks.
    """
    if rotated == image_rotated == 1:
        return mask, False
    stored = rotate_mask(mask, rotated, back=True)
    along = rotate_mask(stored, image_rotated)
    fitting = [one for one in (mask, stored, along) if one.shape == shape]
    unclear = rotated == 1 and len(fitting) == 3 and not np.array_equal(stored, along)
    return (fitting or [mask])[0], unclear


def read_written_mask(path: Path) -> Mask:
    """Return the ids of a mask that `write_mask` wrote, without checking them by a class set.

    Raises:
        DataError: the file cannot be decoded.
    """
    with enough_memory(path):
        return np.asarray(decode(read_bytes(path), path).image)


def _to_ids(decoded: Decoded, classes: ClassSet, path: Path, binarise: bool) -> Mask:
    image = decoded.image
    if image.mode == "P":
        return _from_palette(image, classes, path, binarise)
    if decoded.spread and not binarise:
        # Ids 0 to 3 in 2 bits, or grey levels that a program stored in few bits?
        raise DataError(
            f"{path} has fewer than 8 bits per pixel: its values may be class ids or grey levels",
            "store class ids as an 8-bit grey image or as a palette image",
        )
    if image.mode in _GREY_MODES and not (binarise and image.mode in {"L", "LA"}):
        return _from_ids(np.asarray(image.getchannel(0) if image.mode == "LA" else image), path)
    if image.mode not in _COLOUR_MODES:
        raise DataError(
            f"{path} is not a mask: its pixels have the mode {image.mode}",
            "store class ids as an 8-bit grey image, or the class colours as RGB",
        )
    if decoded.deep:
        raise DataError(
            f"{path} is not a mask: its colours have more than 8 bits per channel",
            "store class ids as an 8-bit grey image, or the class colours as RGB",
        )
    return _from_colours(np.asarray(image.convert("RGB")), classes, path, binarise)


def _from_ids(ids: NDArray[np.generic], path: Path) -> Mask:
    if ids.dtype == np.uint8:
        return np.asarray(ids, dtype=np.uint8)
    if ids.size and (ids.min() < 0 or ids.max() > 255):
        raise DataError(f"{path} holds ids from {ids.min()} to {ids.max()}; class ids are 0 to 255")
    return ids.astype(np.uint8)


def _from_palette(image: Image.Image, classes: ClassSet, path: Path, binarise: bool) -> Mask:
    """Return the ids of a palette image: its entries, or the ids of the entries' colours.

    A palette that belongs to ids gives each id its colour. A palette that an encoder made from a
    colour image numbers the colours in the order of their occurrence. Taking one for the other
    swaps classes. So a palette that is not known to belong to ids must have a class colour for
    every entry in use.
    """
    ids = np.asarray(image)
    palette = np.asarray(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    used = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
    # An encoder of colours uses no entry that is missing from its palette.
    if used.max(initial=0) >= len(palette) or _shows_ids(palette, used, classes):
        return ids
    colours, entry, times = np.unique(
        palette[used], axis=0, return_inverse=True, return_counts=True
    )
    if times.max() > 1:
        alike = used[entry.ravel() == times.argmax()]
        raise DataError(
            f"{path}: palette entries {', '.join(map(str, alike[:8]))} share the colour "
            f"{_text(colours[times.argmax()])}, so that ids and colours contradict each other; "
            f"{int(np.isin(ids, alike).sum()):,} of {ids.size:,} pixels",
            _PALETTE_HINT,
        )
    meaning = decode_colours(_binarised(palette[None], binarise), classes)[0]
    if (meaning[used] == OFF_TABLE).any():
        # It raises an error that counts the pixels.
        return _from_colours(palette[ids], classes, path, binarise, _PALETTE_HINT)
    return np.asarray(meaning.astype(np.uint8)[ids])


def _shows_ids(palette: NDArray[np.uint8], used: NDArray[np.intp], classes: ClassSet) -> bool:
    """Return whether a palette is known to belong to ids.

    Such a palette has the class set's own colours, those of the Pascal VOC colour map, or grey
    levels.
    """
    index, count = np.arange(len(palette)), len(classes)
    meaning = decode_colours(palette[None], classes)[0]
    if np.array_equal(meaning[:count], np.arange(count)):
        # The remaining entries of such a palette are black: an unknown id must stay unknown, and
        # not become the class whose colour is black.
        return True
    off_table = meaning == OFF_TABLE
    # The ignore id may have any colour but that of a class.
    own = (meaning == index) | ((index == classes.ignore_index) & off_table)
    if own[used].all():
        # Entries and colours give the same ids.
        return True
    # The end of a palette may be filled up with black.
    length = int(np.flatnonzero(palette.any(axis=1)).max(initial=-1)) + 1
    known = own | (palette == index[:, None]).all(axis=1)
    if not _VOC_COLOURS.issuperset(classes.colours):
        # Class colours taken from the VOC map, in another order, take precedence over it.
        known |= (palette == _VOC_PALETTE[: len(palette)]).all(axis=1)
    if length < min(count, _AMBIGUOUS_LENGTH) or not known[:length].all():
        return False
    # A short palette of class colours alone may be an encoder's, in this order by chance.
    return length >= _AMBIGUOUS_LENGTH or bool(off_table[:length].any())


def _from_colours(
    pixels: NDArray[np.uint8],
    classes: ClassSet,
    path: Path,
    binarise: bool,
    hint: str = "choose the class set with --classes",
) -> Mask:
    pixels = _binarised(pixels, binarise)
    ids = decode_colours(pixels, classes)
    off = ids == OFF_TABLE
    if off.any():
        strange = np.unique(pixels[off], axis=0)
        shown = ", ".join(_text(colour) for colour in strange[:3])
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise DataError(
            f"{path}: colour {shown}{more} is not in the class set '{classes.name}'; "
            f"{int(off.sum()):,} of {off.size:,} pixels",
            f"{hint}; if the masks were stored in a lossy format such as JPEG, "
            "--set data.binarise=true (--binarise of `dlcv data`) rounds each channel to 0 or 255",
        )
    return ids.astype(np.uint8)


def _binarised(pixels: NDArray[np.uint8], binarise: bool) -> NDArray[np.uint8]:
    if not binarise:
        return pixels
    return np.where(pixels >= _BINARY_THRESHOLD, np.uint8(255), np.uint8(0))


def _text(colour: NDArray[np.uint8]) -> str:
    return str(tuple(int(value) for value in colour))


def encode_mask(mask: Mask, classes: ClassSet, *, compress_level: int = 6) -> bytes:
    """Return class ids [H, W] as the bytes of a palette PNG in the classes' colours."""
    image = Image.fromarray(mask)
    image.putpalette(palette_table(classes).tobytes())
    return encode_image(image, "PNG", compress_level=compress_level)


def write_mask(path: Path, mask: Mask, classes: ClassSet, *, compress_level: int = 6) -> None:
    """Write class ids [H, W] as a palette PNG, completely or not at all; see `encode_mask`.

    Raises:
        DlcvError: it cannot be written.
    """
    write_encoded(path, encode_mask(mask, classes, compress_level=compress_level))
