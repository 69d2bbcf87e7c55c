"""Convert masks without loss: colours to class ids, and class ids to colours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from dlcvcli.data.masks import encode_mask, read_mask
from dlcvcli.data.reading import IMAGE_SUFFIXES, Progress, is_image, read_ahead
from dlcvcli.data.writing import encode_image
from dlcvcli.errors import DataError, UsageError
from dlcvcli.files import write_atomically
from dlcvcli.machine import usable_cores
from dlcvcli.palette import ClassSet, Mask, encode_colours, require_colours

Form = Literal["ids", "palette", "colours"]
"""Form of a mask file: 8-bit grey class ids; ids as a palette PNG, shown in colour; RGB colours."""


@dataclass(frozen=True)
class Converted:
    """The result of converting one mask.

    Attributes:
        source, target: the file read and the file written.
        pixels: number of pixels.
        ignored: number of pixels with the ignore id.
        error: why nothing was written; None if the mask was converted.
    """

    source: Path
    target: Path
    pixels: int = 0
    ignored: int = 0
    error: DataError | None = None


def plan_conversion(source: Path, out: Path) -> dict[Path, Path]:
    """Return source file -> PNG to write, for one mask or a folder with its sub-folders.

    One mask is written to `out` itself if that ends in `.png`, else into the folder `out`. The
    masks of a folder keep their names and sub-folders. In a folder with files named NNNN_mask, as
    in the layout `sat_mask`, only these are masks.

    Raises:
        DataError: there is no mask.
        UsageError: `out` does not fit, two masks would get the same name, or a result would
            overwrite a mask that is read.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist")
    suffix = out.suffix.lower()
    if suffix in IMAGE_SUFFIXES and not out.is_dir() and (suffix != ".png" or source.is_dir()):
        raise UsageError(
            f"{out} is named like a file, and the masks of the folder {source} need a folder"
            if source.is_dir()
            else f"{out} does not end in .png; any other format might change the values",
            "name a folder" if source.is_dir() else "name a file that ends in .png, or a folder",
        )
    if source.is_dir():
        if out.resolve().is_relative_to(source.resolve()):
            raise UsageError(
                f"the output folder {out} is inside the input folder {source}",
                "choose a folder outside of it",
            )
        plan = {path: out / path.relative_to(source).with_suffix(".png") for path in _below(source)}
        if not plan:
            raise DataError(f"{source} holds no mask")
    else:
        single = suffix == ".png" and not out.is_dir()
        plan = {source: out if single else out / f"{source.stem}.png"}
    _require_apart(plan)
    return plan


def _below(folder: Path) -> list[Path]:
    """Return the masks in a folder and its sub-folders, without the images beside them."""
    images = sorted(
        path
        for path in folder.rglob("*")
        if is_image(path)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    beside = {path.parent for path in images if path.stem.endswith("_mask")}
    return [path for path in images if path.parent not in beside or path.stem.endswith("_mask")]


def _require_apart(plan: dict[Path, Path]) -> None:
    """Refuse results that would overwrite one another or a mask that is read."""
    taken: dict[Path, Path] = {}
    # A file can have several names: through links, or in capitals on some systems.
    read = {_identity(path) for path in plan}
    for source, target in plan.items():
        if target in taken:
            raise UsageError(
                f"{taken[target]} and {source} would both become {target}", "rename one of them"
            )
        taken[target] = source
        if target.exists() and _identity(target) in read:
            raise UsageError(
                f"the result {target} would overwrite a mask that is read",
                "choose another file or folder for the result",
            )


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def convert(
    plan: dict[Path, Path],
    classes: ClassSet,
    form: Form,
    *,
    binarise: bool = False,
    progress: Progress | None = None,
) -> Iterator[Converted]:
    """Convert masks, and yield the result of each, in the order of the plan.

    A mask that cannot be read, or whose ids have no colour, is not written: its result carries the
    error, and the conversion goes on.

    Args:
        plan: source -> target, see `plan_conversion`.
        classes: the classes of ids and colours; see `palette.with_ignore_colour`.
        form: the form to write.
        binarise: as for `masks.decode_mask`.
        progress: called with (masks done, masks in all).

    Raises:
        DlcvError: a result cannot be written.
    """

    def convert_one(item: tuple[Path, Path]) -> Converted:
        source, target = item
        try:
            mask = read_mask(source, classes, binarise=binarise)
            content = _WRITERS[form](mask, classes, source)
        except DataError as error:
            return Converted(source, target, error=error)
        write_atomically(target, content)
        ignored = int(np.count_nonzero(mask == classes.ignore_index))
        return Converted(source, target, mask.size, ignored)

    threads = usable_cores()
    results = read_ahead(convert_one, plan.items(), threads=threads, ahead=4 * threads)
    for count, result in enumerate(results, 1):
        yield result
        if progress is not None:
            progress(count, len(plan))


def _as_ids(mask: Mask, classes: ClassSet, source: Path) -> bytes:
    return encode_image(Image.fromarray(mask), "PNG")


def _as_palette(mask: Mask, classes: ClassSet, source: Path) -> bytes:
    return encode_mask(mask, classes)


def _as_colours(mask: Mask, classes: ClassSet, source: Path) -> bytes:
    require_colours(mask, classes, str(source))
    return encode_image(Image.fromarray(encode_colours(mask, classes)), "PNG")


_WRITERS: dict[Form, Callable[[Mask, ClassSet, Path], bytes]] = {
    "ids": _as_ids,
    "palette": _as_palette,
    "colours": _as_colours,
}
