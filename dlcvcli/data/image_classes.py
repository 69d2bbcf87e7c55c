"""Images by class: what a folder of classes, a CSV or Omniglot's tree holds.

A set without splits has the one split `all`. Classes have groups where their folder has (Omniglot's
alphabets), so that a set can be cut between groups.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from dlcvcli.data.image_table import ImageRow, ImageTables, read_image_tables
from dlcvcli.data.left_out import left_out, unread_hint
from dlcvcli.data.reading import is_image
from dlcvcli.data.splits import ALL, SPLIT_NAMES, by_split, canonical_split, chosen_split
from dlcvcli.errors import DataError, UsageError, nearest

ImageLayoutName = Literal["class_folders", "csv", "omniglot"]

_SPLITS = {"train", "val", "test"}


@dataclass(frozen=True)
class ImageClass:
    """One class and its images.

    Attributes:
        name: unique within its split; with its group before it, where it has one.
        files: its images, in the order of their names.
        group: what it belongs to, such as an alphabet; its own name where there are no groups.
    """

    name: str
    files: tuple[Path, ...]
    group: str


Split = tuple[ImageClass, ...]


@dataclass(frozen=True)
class ImageLayout:
    """What a folder was recognised as.

    Attributes:
        name: the layout.
        root: the folder that holds it; the given one, or the one folder inside it.
        splits: split name -> its classes, in the order of their names.
        ids: split name -> what a CSV calls its images in a column `id` -> their files.
        unlabelled: the CSV files of splits that name images and no labels.
    """

    name: ImageLayoutName
    root: Path
    splits: dict[str, Split]
    ids: dict[str, dict[str, Path]] = field(default_factory=dict)
    unlabelled: tuple[Path, ...] = ()

    def describe(self) -> str:
        """Return one line for people: the layout, the size of each split, and what is left out.

        A CSV says which images are used; of folders it is all of them.
        """
        parts = (
            f"{split} {sum(len(c.files) for c in classes)} images of {len(classes)} classes"
            for split, classes in self.splits.items()
        )
        line = f"layout {self.name}: {', '.join(parts)}"
        line += "".join(f"; {path.name} left out: it has no labels" for path in self.unlabelled)
        if self.name == "csv":
            return line
        used = [file for split in self.splits.values() for one in split for file in one.files]
        return line + left_out(self.root, used, SPLIT_NAMES, everywhere=set(self.splits) == {ALL})


def find_image_layout(
    root: Path, layout: str = "auto", *, allow_outside: bool = False
) -> ImageLayout:
    """Recognise a set of images by class, looking through one wrapping folder.

    Args:
        root: the folder.
        layout: a layout's name, or `auto`.
        allow_outside: accept a CSV that names files outside of the folder.

    Raises:
        UsageError: there is no such layout.
        DataError: the folder is missing or holds no known layout, or a CSV cannot be used.
    """
    if not root.is_dir():
        state = "is a file; a data folder is needed" if root.exists() else "does not exist"
        raise DataError(f"data folder {root} {state}")
    known = ("auto", *get_args(ImageLayoutName))
    if layout not in known:
        raise UsageError(f"unknown layout '{layout}'", nearest(layout, known))
    inner = _folders(root)
    problems: list[DataError] = []
    for folder in (root, *(inner if len(inner) == 1 else ())):
        found = _find_omniglot(folder) if layout in {"auto", "omniglot"} else None
        if found is None and layout in {"auto", "csv"}:
            tables = read_image_tables(folder, allow_outside=allow_outside)
            found = _from_tables(folder, tables)
            problems += tables.problems
        if found is None and layout in {"auto", "class_folders"}:
            found = _find_class_folders(folder)
            if found is not None and problems and _may_be_of_a_csv(found):
                raise problems[0]
        if found is not None:
            return found
    if problems:
        raise problems[0]
    raise DataError(
        f"{root} holds no images by class that dlcv knows"
        + ("" if layout == "auto" else f" as layout '{layout}'"),
        unread_hint(root)
        + "expected folders named after their classes (with or without train/, val/, test/ above), "
        "SPLIT.csv with filename,label beside the images, or Omniglot's alphabets",
    )


def _may_be_of_a_csv(found: ImageLayout) -> bool:
    """Return whether what looks like classes may be the folder of images beside a CSV."""
    names = {one.name.lower() for classes in found.splits.values() for one in classes}
    return len(names) == 1 or "images" in names


def image_split(layout: ImageLayout, split: str) -> Split:
    """Return the classes of a split; a set without splits gives all of them.

    Raises:
        DataError: there is no such split.
    """
    return chosen_split(layout.splits, split, layout.root)


def _folders(root: Path) -> list[Path]:
    return sorted(
        p for p in root.iterdir() if p.is_dir() and p.name[0] != "." and p.name != "__MACOSX"
    )


def _images(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(p for p in folder.iterdir() if p.is_file() and is_image(p)))


def _classes_in(folder: Path) -> Split:
    """Return the folders of images in a folder, each a class of its own group."""
    found = ((inner.name, _images(inner)) for inner in _folders(folder))
    return tuple(ImageClass(name, files, name) for name, files in found if files)


def _find_class_folders(root: Path) -> ImageLayout | None:
    folders = _folders(root)
    found = {path: _classes_in(path) for path in folders if canonical_split(path.name) in _SPLITS}
    splits = by_split({path: classes for path, classes in found.items() if classes})
    # A class may be called `train`, but not every class is called like a split.
    if not splits and len(found) < len(folders):
        classes = _classes_in(root)
        splits = {ALL: classes} if classes else {}
    return ImageLayout("class_folders", root, splits) if splits else None


def _characters_in(folder: Path) -> Split:
    """Return the classes of a folder of alphabets, each with folders of characters."""
    classes: list[ImageClass] = []
    for alphabet in _folders(folder):
        for character in _folders(alphabet):
            files = _images(character)
            if files and character.name.lower().startswith("character"):
                name = f"{alphabet.name}/{character.name}"
                classes.append(ImageClass(name, files, alphabet.name))
    return tuple(classes)


def _find_omniglot(root: Path) -> ImageLayout | None:
    # As it is distributed: the background set to train on, the evaluation set to test on.
    parts = {"train": root / "images_background", "test": root / "images_evaluation"}
    found = {split: _characters_in(folder) for split, folder in parts.items() if folder.is_dir()}
    splits = {split: classes for split, classes in found.items() if classes}
    # One part alone is a set without splits, but not where the other is there and empty.
    if len(found) == 1 and splits:
        splits = {ALL: next(iter(splits.values()))}
    if not splits:
        classes = _characters_in(root)
        splits = {ALL: classes} if classes else {}
    return ImageLayout("omniglot", root, splits) if splits else None


def _from_tables(root: Path, tables: ImageTables) -> ImageLayout | None:
    splits = {split: _classes_of(rows) for split, rows in tables.splits.items()}
    ids = {split: _ids_of(rows) for split, rows in tables.splits.items()}
    if len(splits) == 1 and not splits.keys() & _SPLITS:
        # One table, whatever it is called, is a set without splits.
        splits = {ALL: next(iter(splits.values()))}
        ids = {ALL: next(iter(ids.values()))}
    return ImageLayout("csv", root, splits, ids, tables.unlabelled) if splits else None


def _classes_of(rows: list[ImageRow]) -> Split:
    by_class: dict[str, list[Path]] = {}
    for row in rows:
        by_class.setdefault(row.label, []).append(row.file)
    return tuple(
        ImageClass(name, tuple(sorted(files)), name) for name, files in sorted(by_class.items())
    )


def _ids_of(rows: list[ImageRow]) -> dict[str, Path]:
    """Return what a CSV calls its images; an id of several images names none of them."""
    often = Counter(row.id for row in rows)
    return {row.id: row.file for row in rows if row.id and often[row.id] == 1}
