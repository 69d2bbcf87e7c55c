"""Class sets: names, colours and special ids of classes; conversion between ids and colours.

A mask of ids is uint8 [H, W]; a colour mask is uint8 [H, W, 3], RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcvcli.errors import ConfigError, DataError, nearest, shorten
from dlcvcli.yaml_reader import read_yaml

Colour = tuple[int, int, int]
Mask = NDArray[np.uint8]

MAX_CLASSES = 255
BLACK: Colour = (0, 0, 0)
OFF_TABLE = -1


@dataclass(frozen=True)
class ClassSet:
    """The classes of a segmentation task.

    Attributes:
        name: name of the preset, or stem of the class file.
        names: a name per class id, from id 0.
        colours: an RGB colour per class id, channels 0 to 255.
        ignore_index: annotation id of pixels without a label, which are neither trained nor scored.
        ignore_colour: colour of `ignore_index` in colour masks, if it has one.
        unscored: ids that are trained but not scored (`unknown` of the land-cover set).
    """

    name: str
    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    ignore_index: int = 255
    ignore_colour: Colour | None = None
    unscored: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.names)
        if not 1 <= count <= MAX_CLASSES:
            raise ConfigError(
                f"class set '{self.name}' has {count} classes; it must have 1 to {MAX_CLASSES}"
            )
        if len(self.colours) != count:
            raise ConfigError(
                f"class set '{self.name}' has {count} names and {len(self.colours)} colours"
            )
        if len(set(self.names)) != count:
            raise ConfigError(f"class set '{self.name}' names a class twice")
        if len(set(self.colours)) != count:
            raise ConfigError(f"class set '{self.name}' gives two classes the same colour")
        if self.ignore_colour is not None and self.ignore_colour in self.colours:
            raise ConfigError(f"class set '{self.name}' gives a class the ignore colour")
        if not count <= self.ignore_index <= 255:
            raise ConfigError(
                f"class set '{self.name}': ignore_index {self.ignore_index} must be in "
                f"{count}..255, outside of the {count} class ids"
            )

        for index in self.unscored:
            if not 0 <= index < count:
                raise ConfigError(
                    f"class set '{self.name}': unscored id {index} is not a class id "
                    f"(0..{count - 1})"
                )

    def __len__(self) -> int:
        return len(self.names)

    @property
    def scored(self) -> tuple[int, ...]:
        """The ids of the classes that are scored."""
        return tuple(i for i in range(len(self)) if i not in self.unscored)

    def as_dict(self) -> dict[str, Any]:
        """Return plain types, as stored in checkpoints and ONNX metadata."""
        return {
            "name": self.name,
            "names": list(self.names),
            "colours": [list(colour) for colour in self.colours],
            "ignore_index": self.ignore_index,
            "ignore_colour": None if self.ignore_colour is None else list(self.ignore_colour),
            "unscored": list(self.unscored),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ClassSet:
        """Return the class set that plain types describe; the inverse of `as_dict`.

        Raises:
            ConfigError: a key is missing or unknown, or a value does not fit.
        """
        known = {"name", "names", "colours", "ignore_index", "ignore_colour", "unscored"}
        for key in data:
            if key not in known:
                raise ConfigError(f"unknown key '{key}' in a class set", nearest(str(key), known))
        try:
            names = tuple(_text(name) for name in _list(data.get("names"), "names"))
            colours = data.get("colours")
            ignore_colour = data.get("ignore_colour")
            return cls(
                name=str(data.get("name", "classes")),
                names=names,
                colours=default_colours(len(names))
                if colours is None
                else tuple(_colour(colour) for colour in _list(colours, "colours")),
                ignore_index=_integer(data.get("ignore_index", 255), "ignore_index"),
                ignore_colour=None if ignore_colour is None else _colour(ignore_colour),
                unscored=tuple(
                    _integer(index, "an id of unscored")
                    for index in _list(data.get("unscored", ()), "unscored")
                ),
            )
        except ValueError as error:
            raise ConfigError(
                f"not a class set: {error}",
                "give 'names' (a list) and, for colour masks, 'colours' (a list of [R, G, B]), "
                "e.g. names: [cat, dog] and colours: [[255, 0, 0], [0, 0, 255]]",
            ) from error


def _list(value: Any, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        shown = "missing" if value is None else f"not a list but {_shown(value)}"
        raise ValueError(f"'{what}' is {shown}")
    return value


def _text(value: Any) -> str:
    # YAML takes some names for values of another type: yes, null, 7.
    if not isinstance(value, str):
        raise ValueError(f"the class name {_shown(value)} is not text; write it in quotes")
    return value


def _integer(value: Any, what: str) -> int:
    if type(value) is not int:  # a bool is an int, too
        raise ValueError(f"{what} is {_shown(value)}, not an integer")
    return value


def _colour(value: Any) -> Colour:
    what = f"the colour {_shown(value)}"
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ValueError(f"{what} is not [R, G, B]")
    red, green, blue = (_integer(channel, f"a channel of {what}") for channel in value)
    if not all(0 <= channel <= 255 for channel in (red, green, blue)):
        raise ValueError(f"{what} is outside 0..255")
    return red, green, blue


def _shown(value: Any) -> str:
    return shorten(repr(value))


def default_colours(count: int) -> tuple[Colour, ...]:
    """Return the first colours of Pascal VOC's colour map, which spreads an id's bits over R, G, B.

    Source: `VOClabelcolormap` of the VOC development kit.
    """
    colours = []
    for index in range(count):
        channels = [0, 0, 0]
        rest = index
        for bit in range(7, -1, -1):
            for channel in range(3):
                channels[channel] |= ((rest >> channel) & 1) << bit
            rest >>= 3
        colours.append((channels[0], channels[1], channels[2]))
    return tuple(colours)


PRESETS: dict[str, ClassSet] = {
    # DeepGlobe land cover as in the NTU DLCV course, with the ids of its `mean_iou_evaluate.py`.
    "landcover7": ClassSet(
        name="landcover7",
        names=("urban", "agriculture", "rangeland", "forest", "water", "barren", "unknown"),
        colours=(
            (0, 255, 255),
            (255, 255, 0),
            (255, 0, 255),
            (0, 255, 0),
            (0, 0, 255),
            (255, 255, 255),
            (0, 0, 0),
        ),
        unscored=(6,),
    ),
    # The 11 classes of SegNet's split; id 11 is unlabelled.
    "camvid11": ClassSet(
        name="camvid11",
        names=(
            *("sky", "building", "pole", "road", "pavement", "tree"),
            *("sign", "fence", "car", "pedestrian", "bicyclist"),
        ),
        colours=(
            (128, 128, 128),
            (128, 0, 0),
            (192, 192, 128),
            (128, 64, 128),
            (60, 40, 222),
            (128, 128, 0),
            (192, 128, 128),
            (64, 64, 128),
            (64, 0, 128),
            (64, 64, 0),
            (0, 128, 192),
        ),
        ignore_index=11,
        ignore_colour=(0, 0, 0),
    ),
    "voc21": ClassSet(
        name="voc21",
        names=(
            *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus"),
            *("car", "cat", "chair", "cow", "diningtable", "dog", "horse"),
            *("motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
        ),
        colours=default_colours(21),
        ignore_colour=(224, 224, 192),
    ),
}


def load_class_set(name_or_file: str) -> ClassSet:
    """Return the preset of this name, or the class set in a YAML file.

    The file holds `names`, `colours` if masks are colour-coded, and optionally `ignore_index`,
    `ignore_colour` and `unscored`.

    Raises:
        ConfigError: there is no such preset or file, or the file is not a class set.
    """
    if name_or_file in PRESETS:
        return PRESETS[name_or_file]
    path = Path(name_or_file)
    if not path.exists():
        raise ConfigError(
            f"'{name_or_file}' is neither a class preset nor a file",
            nearest(name_or_file, PRESETS),
        )
    data = read_yaml(path, "class file")
    if isinstance(data, list):
        data = {"names": data}
    if not isinstance(data, dict):
        raise ConfigError(f"class file {path} holds neither a mapping nor a list of names")
    try:
        return ClassSet.from_dict({"name": path.stem, **data})
    except ConfigError as error:
        raise ConfigError(f"class file {path}: {error.message}", error.hint) from error


def with_ignore_index(classes: ClassSet, index: int | None) -> ClassSet:
    """Return the class set with another ignore id; unchanged for None.

    Raises:
        ConfigError: the id belongs to a class.
    """
    if index is None:
        return classes
    if index < len(classes):
        raise ConfigError(f"data.ignore_index {index} is the id of class '{classes.names[index]}'")
    return replace(classes, ignore_index=index)


def with_ignore_colour(classes: ClassSet) -> ClassSet:
    """Return the class set with black as the ignore colour, if it has none.

    A class set with a black class is returned unchanged: its ignore id has no colour.
    """
    if classes.ignore_colour is not None or BLACK in classes.colours:
        return classes
    return replace(classes, ignore_colour=BLACK)


def encode_colours(mask: Mask, classes: ClassSet) -> NDArray[np.uint8]:
    """Return the colours of a mask of ids [H, W], uint8 [H, W, 3], RGB.

    The ignore id has the ignore colour, or black if there is none.
    """
    return palette_table(classes)[mask]


def decode_colours(colours: NDArray[np.uint8], classes: ClassSet) -> NDArray[np.int16]:
    """Return the ids of a colour mask [H, W, 3], int16 [H, W]; `OFF_TABLE` for unknown colours."""
    code = (
        (colours[..., 0].astype(np.int32) << 16)
        | (colours[..., 1].astype(np.int32) << 8)
        | colours[..., 2]
    )
    known = {_code(colour): index for index, colour in enumerate(classes.colours)}
    if classes.ignore_colour is not None:
        known[_code(classes.ignore_colour)] = classes.ignore_index
    ids = np.full(code.shape, OFF_TABLE, dtype=np.int16)
    # For few colours, one comparison per colour is faster than a search per pixel.
    for key, value in known.items():
        ids[code == key] = value
    return ids


def _code(colour: Colour) -> int:
    return (colour[0] << 16) | (colour[1] << 8) | colour[2]


def palette_table(classes: ClassSet) -> NDArray[np.uint8]:
    """Return the colour table of a palette PNG, uint8 [256, 3]; ids without a colour are black."""
    table = np.zeros((256, 3), dtype=np.uint8)
    table[: len(classes)] = classes.colours
    if classes.ignore_colour is not None:
        table[classes.ignore_index] = classes.ignore_colour
    return table


def require_colours(mask: Mask, classes: ClassSet, where: str) -> None:
    """Refuse a mask with ignored pixels whose class set has no colour for them.

    Args:
        mask: uint8 [H, W], ids.
        classes: the class set, after `with_ignore_colour`.
        where: the mask, for the message.

    Raises:
        DataError: names `where` and the number of pixels with the ignore id.
    """
    ignored = int(np.count_nonzero(mask == classes.ignore_index))
    if ignored and classes.ignore_colour is None:
        raise DataError(
            f"{where}: {ignored:,} of {mask.size:,} pixels have the ignore id "
            f"{classes.ignore_index}, for which '{classes.name}' has no colour, since black is the "
            "colour of a class",
            "add one to the class file, e.g. ignore_colour: [224, 224, 192]",
        )


def require_ids(mask: Mask, classes: ClassSet, where: str) -> None:
    """Refuse a mask that holds an id outside the class set and its ignore id.

    Raises:
        DataError: names `where`, the ids and the number of pixels with them.
    """
    counts = np.bincount(mask.ravel(), minlength=256)
    counts[: len(classes)] = 0
    counts[classes.ignore_index] = 0
    if counts.any():
        strange = np.flatnonzero(counts)
        raise DataError(
            f"{where}: class id {', '.join(map(str, strange[:8]))} is not in '{classes.name}' "
            f"(ids 0..{len(classes) - 1}, ignore {classes.ignore_index}); "
            f"{int(counts.sum()):,} pixels",
            "choose the class set with --classes, or the id to ignore, e.g. with "
            "--set data.ignore_index=255 (--ignore-index 255 of `dlcv data`)",
        )
