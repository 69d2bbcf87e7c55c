"""Annotation files to class ids, and class ids to palette PNGs."""

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

# The colours of a palette shorter than this can stand in such an order by chance.
_CHANCE = 16
_VOC_COLOURS = frozenset(default_colours(256))
_VOC_PALETTE = np.array(default_colours(256), dtype=np.uint8)
_PALETTE_HINT = (
    "choose the class set with --classes; if the mask holds ids, store it as an 8-bit grey image, "
    "or give its classes the colours of its palette in a class file"
)
_BINARY_CUT = 128
_COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "PA", "L", "LA"})
_GREY_MODES = frozenset({"L", "1", "I", "I;16", "I;16B", "LA"})


def read_mask(path: Path, classes: ClassSet, *, binarise: bool = False) -> Mask:
    """Read an annotation file as class ids; see `decode_mask`."""
    return decode_mask(read_bytes(path), path, classes, binarise=binarise)


def decode_mask(content: bytes, path: Path, classes: ClassSet, *, binarise: bool = False) -> Mask:
    """Decode an annotation to class ids, uint8 [H, W], rotated as its EXIF orientation says.

    Grey images hold ids. The pixels of a palette image are ids where the palette is known to
    belong to ids, and stand for its colours elsewhere; see `_from_palette`. Colours are looked up
    in the class set. `binarise` cuts each channel to 0 or 255 at 128 first, for masks that were
    stored with loss; a grey image is then a colour image in black and white.

    Raises:
        DataError: the file cannot be decoded, or holds an id or colour off the table; names the
            file, the values and their number.
    """
    return decode_oriented_mask(content, path, classes, binarise=binarise)[0]


def decode_oriented_mask(
    content: bytes, path: Path, classes: ClassSet, *, binarise: bool = False
) -> tuple[Mask, int]:
    """Return what `decode_mask` does, and the EXIF orientation by which it was rotated."""
    with enough_memory(path):
        decoded = decode(content, path)
        mask = _to_ids(decoded, classes, path, binarise)
        require_ids(mask, classes, str(path))
        return mask, decoded.orientation


def match_orientation(
    mask: Mask, rotated: int, image_rotated: int, shape: tuple[int, ...]
) -> tuple[Mask, bool]:
    """Rotate a mask as its image was, where their sizes show that it was not.

    A mask is drawn on the image as programs display it, or on its pixels as they are stored, and
    seldom has an EXIF orientation of its own that says so.

    Args:
        mask: as decoded.
        rotated, image_rotated: the EXIF orientations by which mask and image were rotated.
        shape: (height, width) of the rotated image.

    Returns:
        The mask, of another shape where no rotation fits, and whether the sizes leave open which
        of the two it was drawn on, and that makes a difference.
    """
    if rotated == image_rotated == 1:
        return mask, False
    stored = rotate_mask(mask, rotated, back=True)
    along = rotate_mask(stored, image_rotated)
    fitting = [one for one in (mask, stored, along) if one.shape == shape]
    unclear = rotated == 1 and len(fitting) == 3 and not np.array_equal(stored, along)
    return (fitting or [mask])[0], unclear


def read_written_mask(path: Path) -> Mask:
    """Return the ids of a mask that `write_mask` wrote, without a class set to hold them against.

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
            f"{path} has fewer than 8 bits a pixel, which does not say whether they are ids or "
            "grey levels",
            "store class ids as an 8-bit grey or a palette image",
        )
    if image.mode in _GREY_MODES and not (binarise and image.mode in {"L", "LA"}):
        return _from_ids(np.asarray(image.getchannel(0) if image.mode == "LA" else image), path)
    if image.mode not in _COLOUR_MODES:
        raise DataError(
            f"{path} is no mask: its pixels are of mode {image.mode}",
            "store class ids as an 8-bit grey image, or the class colours as RGB",
        )
    if decoded.deep:
        raise DataError(
            f"{path} is no mask: its colours have more than 8 bits a channel",
            "store class ids as an 8-bit grey image, or the class colours as RGB",
        )
    return _from_colours(np.asarray(image.convert("RGB")), classes, path, binarise)


def _from_ids(ids: NDArray[np.generic], path: Path) -> Mask:
    if ids.dtype == np.uint8:
        return np.asarray(ids, dtype=np.uint8)
    if ids.size and (ids.min() < 0 or ids.max() > 255):
        raise DataError(f"{path}: ids reach from {ids.min()} to {ids.max()}; 0 to 255 are possible")
    return ids.astype(np.uint8)


def _from_palette(image: Image.Image, classes: ClassSet, path: Path, binarise: bool) -> Mask:
    """Read palette entries as class ids, or else look up the colours that the palette gives them.

    A palette that belongs to ids says what each id looks like; one that an encoder made of a colour
    image numbers the colours as it met them. Read the wrong way, classes change places: a palette
    that is not known to belong to ids must have a class colour for every entry in use.
    """
    ids = np.asarray(image)
    palette = np.asarray(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    used = np.flatnonzero(np.bincount(ids.ravel(), minlength=256))
    # An encoder of colours uses no entry that its palette lacks.
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
    meaning = decode_colours(_cut(palette[None], binarise), classes)[0]
    if (meaning[used] == OFF_TABLE).any():
        # For the message, which counts the pixels.
        return _from_colours(palette[ids], classes, path, binarise, _PALETTE_HINT)
    return np.asarray(meaning.astype(np.uint8)[ids])


def _shows_ids(palette: NDArray[np.uint8], used: NDArray[np.intp], classes: ClassSet) -> bool:
    """Return whether a palette is known to belong to ids.

    It has the class set's own colours, or those of the Pascal VOC colour map, or grey levels.
    """
    index, count = np.arange(len(palette)), len(classes)
    meaning = decode_colours(palette[None], classes)[0]
    if np.array_equal(meaning[:count], np.arange(count)):
        # The rest is black in such a palette: an id off the table must stay one, and not turn into
        # the class that is black.
        return True
    off_table = meaning == OFF_TABLE
    # What the ignore id looks like is free, but for the colours of classes.
    own = (meaning == index) | ((index == classes.ignore_index) & off_table)
    if own[used].all():
        # Both ways of reading agree.
        return True
    # The end of a palette may be filled up with black.
    length = int(np.flatnonzero(palette.any(axis=1)).max(initial=-1)) + 1
    known = own | (palette == index[:, None]).all(axis=1)
    if not _VOC_COLOURS.issuperset(classes.colours):
        # Classes in colours of the VOC map, in another order, say themselves what is meant.
        known |= (palette == _VOC_PALETTE[: len(palette)]).all(axis=1)
    if length < min(count, _CHANCE) or not known[:length].all():
        return False
    # A short one of class colours alone may be an encoder's, which are in this order by chance.
    return length >= _CHANCE or bool(off_table[:length].any())


def _from_colours(
    pixels: NDArray[np.uint8],
    classes: ClassSet,
    path: Path,
    binarise: bool,
    hint: str = "choose the class set with --classes",
) -> Mask:
    pixels = _cut(pixels, binarise)
    ids = decode_colours(pixels, classes)
    off = ids == OFF_TABLE
    if off.any():
        strange = np.unique(pixels[off], axis=0)
        shown = ", ".join(_text(colour) for colour in strange[:3])
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise DataError(
            f"{path}: colour {shown}{more} is not in the table of '{classes.name}'; "
            f"{int(off.sum()):,} of {off.size:,} pixels",
            f"{hint}; if the masks were stored with loss, "
            "--set data.binarise=true (--binarise of `dlcv data`) cuts each channel at 128",
        )
    return ids.astype(np.uint8)


def _cut(pixels: NDArray[np.uint8], binarise: bool) -> NDArray[np.uint8]:
    if not binarise:
        return pixels
    return np.where(pixels >= _BINARY_CUT, np.uint8(255), np.uint8(0))


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
