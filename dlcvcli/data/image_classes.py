"""Images by class: what a folder of classes, a CSV or Omniglot's tree holds.

A set without splits has the one split `all`. Classes have groups where their folder has (Omniglot's
alphabets), so that a set can be cut between groups.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dlcvcli.data.layouts import ALL, canonical_split, chosen_split
from dlcvcli.data.reading import is_image
from dlcvcli.errors import DataError, UsageError, nearest

ImageLayoutName = Literal["class_folders", "csv", "omniglot"]

_SPLITS = {"train", "val", "test"}
FILE_COLUMNS = ("filename", "file", "image")
ID_COLUMNS = ("id",)
_LABEL_COLUMNS = ("label", "class")


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
    """

    name: ImageLayoutName
    root: Path
    splits: dict[str, Split]
    ids: dict[str, dict[str, Path]] = field(default_factory=dict)

    def describe(self) -> str:
        """Return one line for people: the layout, and the size of each split."""
        parts = (
            f"{split} {sum(len(c.files) for c in classes)} images of {len(classes)} classes"
            for split, classes in self.splits.items()
        )
        return f"layout {self.name}: {', '.join(parts)}"


def find_image_layout(root: Path, layout: str = "auto") -> ImageLayout:
    """Recognise a set of images by class, looking through one wrapping folder.

    Args:
        root: the folder.
        layout: a layout's name, or `auto`.

    Raises:
        UsageError: there is no such layout.
        DataError: the folder is missing or holds no known layout, or a CSV names what is not there.
    """
    if not root.is_dir():
        state = "is a file; a data folder is needed" if root.exists() else "does not exist"
        raise DataError(f"data folder {root} {state}")
    if layout != "auto" and layout not in _FINDERS:
        raise UsageError(f"unknown layout '{layout}'", nearest(layout, ("auto", *_FINDERS)))
    finders = _FINDERS if layout == "auto" else {layout: _FINDERS[layout]}
    inner = _folders(root)
    for folder in (root, *(inner if len(inner) == 1 else ())):
        for find in finders.values():
            found = find(folder)
            if found is not None:
                return found
    raise DataError(
        f"{root} holds no images by class that dlcv knows"
        + ("" if layout == "auto" else f" as layout '{layout}'"),
        "expected folders named after their classes (with or without train/, val/, test/ above), "
        "SPLIT.csv with filename,label beside the images, or Omniglot's alphabets",
    )


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
    splits: dict[str, Split] = {}
    for folder in _folders(root):
        name = canonical_split(folder.name)
        if name in _SPLITS:
            classes = _classes_in(folder)
            if classes and name in splits:
                raise DataError(f"{root} holds the split '{name}' twice, once in {folder.name}")
            splits |= {name: classes} if classes else {}
    if not splits:
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
    splits = {split: _characters_in(folder) for split, folder in parts.items() if folder.is_dir()}
    splits = {split: classes for split, classes in splits.items() if classes}
    if len(splits) == 1:
        splits = {ALL: next(iter(splits.values()))}
    if not splits:
        classes = _characters_in(root)
        splits = {ALL: classes} if classes else {}
    return ImageLayout("omniglot", root, splits) if splits else None


def _find_csv(root: Path) -> ImageLayout | None:
    splits: dict[str, Split] = {}
    ids: dict[str, dict[str, Path]] = {}
    for table in sorted(root.glob("*.csv")):
        found = _read_table(table)
        if found is not None:
            split = canonical_split(table.stem)
            splits[split], ids[split] = found
    if len(splits) == 1 and not splits.keys() & _SPLITS:
        # One table, whatever it is called, is a set without splits.
        splits = {ALL: next(iter(splits.values()))}
        ids = {ALL: next(iter(ids.values()))}
    return ImageLayout("csv", root, splits, ids) if splits else None


def _read_table(table: Path) -> tuple[Split, dict[str, Path]] | None:
    """Return the classes that a CSV names, and its ids; None without files and labels in it."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            file = column_of(reader.fieldnames, FILE_COLUMNS)
            label = column_of(reader.fieldnames, _LABEL_COLUMNS)
            if file is None or label is None:
                return None
            known = column_of(reader.fieldnames, ID_COLUMNS)
            rows = [(row[file], row[label], row[known] if known else "") for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not CSV: {error}") from error
    folder = folder_of_table(table, [row[0] for row in rows[:1]])
    by_class: dict[str, list[Path]] = {}
    ids = {}
    seen: set[str] = set()
    for line, (name, label, number) in enumerate(rows, 2):
        if not name or not label:
            raise DataError(f"{table}, line {line}: a file and its label are wanted")
        if name in seen:
            raise DataError(f"{table}, line {line}: {name} is there twice")
        seen.add(name)
        path = folder / name
        if not path.is_file():
            raise DataError(
                f"{table.name} names {name}, and {path} does not exist",
                f"put the images beside {table.name}, into a folder {table.stem} or images",
            )
        by_class.setdefault(label, []).append(path)
        if number:
            ids[number] = path
    classes = tuple(
        ImageClass(name, tuple(sorted(files)), name) for name, files in sorted(by_class.items())
    )
    return classes, ids


def column_of(names: Iterable[str] | None, wanted: tuple[str, ...]) -> str | None:
    """Return the first of some wanted columns that a CSV has, as it writes it; None for none."""
    found = {name.strip().lower(): name for name in names or () if name}
    return next((found[name] for name in wanted if name in found), None)


def folder_of_table(table: Path, names: list[str]) -> Path:
    """Return the folder that the images of a CSV lie in: its own name's, `images`, or beside it."""
    places = (table.with_suffix(""), table.parent / "images", table.parent)
    return next((p for p in places if names and (p / names[0]).is_file()), places[0])


_FINDERS: dict[str, Callable[[Path], ImageLayout | None]] = {
    "omniglot": _find_omniglot,
    "csv": _find_csv,
    "class_folders": _find_class_folders,
}
