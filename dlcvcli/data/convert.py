"""Masks from one form into another without loss: colours to class ids, and class ids to colours."""

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
"""8-bit grey of class ids; the same as a palette PNG, which viewers show in colour; RGB."""


@dataclass(frozen=True)
class Converted:
    """What became of one mask.

    Attributes:
        source, target: the files.
        pixels: number of pixels.
        ignored: those that carry the ignore id.
        error: why nothing was written; None where all is well.
    """

    source: Path
    target: Path
    pixels: int = 0
    ignored: int = 0
    error: DataError | None = None


def plan_conversion(source: Path, out: Path) -> dict[Path, Path]:
    """Return source file -> PNG to write, for one file or a folder with all below it.

    One file goes to `out` itself where that ends in `.png`, else into the folder `out`; the files
    of a folder keep their names and sub-folders. Where some are named NNNN_mask, as in the layout
    `sat_mask`, they alone are masks.

    Raises:
        DataError: there is no mask.
        UsageError: `out` does not fit, two masks would get one name, or a result would take the
            place of a mask that is read.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist")
    named = out.suffix.lower()
    if named in IMAGE_SUFFIXES and not out.is_dir() and (named != ".png" or source.is_dir()):
        raise UsageError(
            f"{out} is no place for the masks of {source}"
            if source.is_dir()
            else f"{out} does not end in .png; any other format might change the values",
            "name a folder" if source.is_dir() else "name a file that ends in .png, or a folder",
        )
    if source.is_dir():
        if out.resolve().is_relative_to(source.resolve()):
            raise UsageError(f"{out} lies in the folder that is read", "choose one outside of it")
        plan = {path: out / path.relative_to(source).with_suffix(".png") for path in _below(source)}
        if not plan:
            raise DataError(f"{source} holds no mask")
    else:
        single = named == ".png" and not out.is_dir()
        plan = {source: out if single else out / f"{source.stem}.png"}
    _require_apart(plan)
    return plan


def _below(folder: Path) -> list[Path]:
    """Return the masks in a folder and below it; images that lie beside their masks are none."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if is_image(path)
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    beside = {path.parent for path in found if path.stem.endswith("_mask")}
    return [path for path in found if path.parent not in beside or path.stem.endswith("_mask")]


def _require_apart(plan: dict[Path, Path]) -> None:
    """Refuse results that would fall together with one another or with what is read."""
    taken: dict[Path, Path] = {}
    # A file may be reached by several names: through links, or in capitals on some systems.
    read = {_identity(path) for path in plan}
    for source, target in plan.items():
        if target in taken:
            raise UsageError(
                f"{taken[target]} and {source} would both become {target}", "rename one of them"
            )
        taken[target] = source
        if target.exists() and _identity(target) in read:
            raise UsageError(
                f"the result {target} would take the place of a mask that is read",
                "choose another place",
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
    """Convert masks, and yield what became of each, in the order of the plan.

    A mask that cannot be read, or whose values have no place in the new form, is not written and
    comes with its error; the others go on.

    Args:
        plan: source -> target, see `plan_conversion`.
        classes: what ids and colours mean; see `palette.with_ignore_colour`.
        form: what to write.
        binarise: see `masks.decode_mask`.
        progress: called with how many are done and how many there are.

    Raises:
        DlcvError: a result cannot be written.
    """

    def one(item: tuple[Path, Path]) -> Converted:
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
    done = read_ahead(one, plan.items(), threads=threads, ahead=4 * threads)
    for count, result in enumerate(done, 1):
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
