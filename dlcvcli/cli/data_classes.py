"""`dlcv data check` and `dlcv data stats` of sets of images by class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcvcli.errors import DataError, UsageError, nearest

if TYPE_CHECKING:
    from dlcvcli.data.image_audit import ImageAudit
    from dlcvcli.data.image_classes import ImageLayout


def find_classes(folder: Path, layout: str) -> ImageLayout | None:
    """Return the layout of a set of images by class; None for a segmentation set.

    Raises:
        DataError: the folder is neither, or a segmentation set that cannot be used.
        UsageError: no layout has that name.
    """
    from typing import get_args

    from dlcvcli.data.image_classes import ImageLayoutName, find_image_layout
    from dlcvcli.data.layouts import LayoutName, LayoutNotFound, find_layout

    by_class, with_masks = get_args(ImageLayoutName), get_args(LayoutName)
    known = ("auto", *with_masks, *by_class)
    if layout not in known:
        raise UsageError(f"unknown layout '{layout}'", nearest(layout, known))
    if layout in by_class:
        return find_image_layout(folder, layout)
    try:
        find_layout(folder, layout)
    except LayoutNotFound as error:
        if layout != "auto":
            raise
        try:
            return find_image_layout(folder)
        except DataError as other:
            raise DataError(
                f"{error.message}, and {other.message}",
                f"for segmentation: {error.hint}; for images by class: {other.hint}",
            ) from other
    return None


def audit_classes(layout: ImageLayout) -> dict[str, ImageAudit]:
    """Return split -> audit, with the progress shown."""
    from dlcvcli.cli.console import counting, say
    from dlcvcli.data.image_audit import audit_images

    say(layout.describe())
    with counting("reading images") as progress:
        return {split: audit_images(layout, split, progress) for split in layout.splits}


def check_classes(layout: ImageLayout, folder: Path, json_to: str | None) -> None:
    """Read every image, and list the problems; see `dlcv data check`."""
    from dlcvcli.cli.console import say, stdout, write_result
    from dlcvcli.data.audit import describe_shared, shared_between
    from dlcvcli.data.image_audit import image_remarks
    from dlcvcli.data.near_duplicates import describe_alike, near_duplicates

    audits = audit_classes(layout)
    problems = [problem for audit in audits.values() for problem in audit.problems]
    shared = shared_between({split: audit.digests for split, audit in audits.items()})
    copies = {name for names in shared.values() for name in names}
    alike = near_duplicates(
        {
            split: {name: value for name, value in audit.hashes.items() if name not in copies}
            for split, audit in audits.items()
        }
    )
    write_result(
        _as_dict(layout, audits)
        | {
            "duplicates": [{"splits": [*pair], "images": names} for pair, names in shared.items()],
            "near_duplicates": [
                {"splits": [*pair], "images": [list(names) for names in found]}
                for pair, found in alike.items()
            ],
        },
        json_to,
    )
    for problem in problems:
        say(problem.message)
    if problems:
        count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        raise DataError(f"{count} in {folder}, listed above", problems[0].hint)
    for line in image_remarks(audits, layout):
        say(line)
    for (one, other), names in shared.items():
        say(f"warning: {describe_shared(names, audits[other].images, other, one)}")
    for (one, other), found in alike.items():
        say(f"warning: {describe_alike(found, audits[other].images, other, one)}")
    if json_to != "-":
        total = sum(audit.images for audit in audits.values())
        splits = ", ".join(f"{split} {audit.images}" for split, audit in audits.items())
        stdout().print(f"{total} images are sound ({splits})", markup=False)


def count_classes(layout: ImageLayout, json_to: str | None, figure: Path | None, log: bool) -> None:
    """Count images and sizes by class; see `dlcv data stats`."""
    from dlcvcli.cli.console import say, stdout, write_result

    audits = audit_classes(layout)
    for audit in audits.values():
        for problem in audit.problems:
            say(f"left out: {problem.message}")
    write_result(_as_dict(layout, audits), json_to)
    if json_to != "-":
        for split, audit in audits.items():
            stdout().print(_table(split, audit))
    if figure is not None:
        from dlcvcli.figures.balance import class_balance
        from dlcvcli.figures.style import save

        save(class_balance({s: audit.classes for s, audit in audits.items()}, log=log), figure)
        say(f"wrote {figure}")


def _as_dict(layout: ImageLayout, audits: dict[str, ImageAudit]) -> dict[str, Any]:
    return {
        "kind": "classification",
        "layout": layout.name,
        "splits": {split: audit.as_dict() for split, audit in audits.items()},
    }


def _table(split: str, audit: ImageAudit) -> Any:
    from rich.table import Table
    from rich.text import Text

    sizes = sorted(audit.sizes.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{h}x{w} ({count})" for (h, w), count in sizes[:4])
    more = f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
    title = f"{split}: {audit.images} images, {shown}{more}; majority class {audit.majority:.3f}"
    table = Table(title=Text(title), title_justify="left")
    for column in ("class", "images", "fraction"):
        table.add_column(column, justify="left" if column == "class" else "right")
    table.add_column("")
    largest = max(audit.classes.values(), default=0) or 1
    for name, count in audit.classes.items():
        bar = "█" * round(30 * count / largest)
        table.add_row(Text(name), f"{count:,}", f"{count / max(1, audit.images):.2%}", bar)
    return table
