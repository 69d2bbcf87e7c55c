"""Recognise a set of images by class: folders of classes, a CSV, Omniglot's tree, or file names.

A set without splits has the one split `all`. Classes may belong to groups (Omniglot's alphabets),
so that a set can be split between groups.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from dlcvcli.data.image_table import ImageRow, ImageTables, read_image_tables
from dlcvcli.data.left_out import left_out, unread_hint
from dlcvcli.data.reading import is_image
from dlcvcli.data.splits import ALL, SPLIT_NAMES, by_split, canonical_split, chosen_split
from dlcvcli.errors import DataError, UsageError, nearest

ImageLayoutName = Literal["class_folders", "csv", "omniglot", "flat"]

_SPLITS = {"train", "val", "test"}


@dataclass(frozen=True)
class ImageClass:
    """One class and its images.

    Attributes:
        name: unique within its split; in a set with groups it starts with the group's name.
        files: its images, in the order of their names.
        group: its group, such as an alphabet; its own name in a set without groups.
    """

    name: str
    files: tuple[Path, ...]
    group: str


Split = tuple[ImageClass, ...]


@dataclass(frozen=True)
class ImageLayout:
    """A recognised set of images by class.

    Attributes:
        name: the layout.
        root: the folder of the set: the given one, or the only folder inside it.
        splits: split name -> its classes, in the order of their names.
        ids: split name -> id of an image in a CSV column `id` -> its file.
        unlabelled: the CSV files of splits that name images without labels.
    """

    name: ImageLayoutName
    root: Path
    splits: dict[str, Split]
    ids: dict[str, dict[str, Path]] = field(default_factory=dict)
    unlabelled: tuple[Path, ...] = ()

    def describe(self) -> str:
        """Return one line: the layout, the size of each split, and the files left out.

        Images that a CSV does not name are not reported: the CSV chooses the images.
        """
        parts = (
            f"{split} {sum(len(c.files) for c in classes)} images of {len(classes)} classes"
            for split, classes in self.splits.items()
        )
        line = f"layout {self.name}: {', '.join(parts)}"
        line += "".join(
            f"; {path.name} left out, since it has no labels" for path in self.unlabelled
        )
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
        recognised = _find_omniglot(folder) if layout in {"auto", "omniglot"} else None
        if recognised is None and layout in {"auto", "csv"}:
            tables = read_image_tables(folder, allow_outside=allow_outside)
            recognised = _from_tables(folder, tables)
            problems += tables.problems
        if recognised is None and layout in {"auto", "flat"}:
            recognised = _find_flat(folder)
        if recognised is None and layout in {"auto", "class_folders"}:
            recognised = _find_class_folders(folder)
            if recognised is not None and problems and _may_be_of_a_csv(recognised):
                raise problems[0]
        if recognised is not None:
            return recognised
    if problems:
        raise problems[0]
    kind = "that dlcv recognises" if layout == "auto" else f"in layout '{layout}'"
    unlabelled = sum(len(_images(folder)) for folder in (root, *inner)) if layout == "auto" else 0
    raise DataError(
        f"{root} holds no images by class {kind}"
        + (f": its {unlabelled} images have no labels" if unlabelled else ""),
        unread_hint(root)
        + "expected folders named after their classes (with or without train/, val/, test/ above), "
        "SPLIT.csv with filename,label beside the images, names such as LABEL_NUMBER.png, or "
        "Omniglot's alphabets",
    )


def _may_be_of_a_csv(recognised: ImageLayout) -> bool:
    """Return whether the class folders found may be the folder of images beside a CSV."""
    names = {one.name.lower() for classes in recognised.splits.values() for one in classes}
    return len(names) == 1 or "images" in names


def image_split(layout: ImageLayout, split: str) -> Split:
    """Return the classes of a split; of a set without splits, all classes.

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
    """Return the classes of a folder: each folder of images in it, in a group of its own."""
    files_of_class = ((inner.name, _images(inner)) for inner in _folders(folder))
    return tuple(ImageClass(name, files, name) for name, files in files_of_class if files)


def _find_class_folders(root: Path) -> ImageLayout | None:
    folders = _folders(root)
    by_folder = {
        path: _classes_in(path) for path in folders if canonical_split(path.name) in _SPLITS
    }
    splits = by_split({path: classes for path, classes in by_folder.items() if classes})
    # A class may be named `train`; not all classes are named after splits.
    if not splits and len(by_folder) < len(folders):
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
    # As Omniglot is distributed: the background set to train on, the evaluation set to test on.
    parts = {"train": root / "images_background", "test": root / "images_evaluation"}
    by_split_name = {
        split: _characters_in(folder) for split, folder in parts.items() if folder.is_dir()
    }
    splits = {split: classes for split, classes in by_split_name.items() if classes}
    # One part alone is a set without splits, unless the other part exists and is empty.
    if len(by_split_name) == 1 and splits:
        splits = {ALL: next(iter(splits.values()))}
    if not splits:
        classes = _characters_in(root)
        splits = {ALL: classes} if classes else {}
    return ImageLayout("omniglot", root, splits) if splits else None


def _find_flat(root: Path) -> ImageLayout | None:
    """Return a set whose file names have the label before the first underscore: `12_345.png`.

    Its splits are folders such as `train` or `train_50`, with no folders in them. There are several
    labels, and they repeat: otherwise they are more likely a common prefix, as in `img_0001.jpg`,
    or numbers of images, as in `0001_sat.jpg`.
    """
    inner = _folders(root)
    # A class may be named `train`: then other classes stand beside it.
    if not all(map(_flat_split, inner)) or any(map(_folders, inner)):
        return None
    folders = {path: _by_label(path) for path in inner or [root]}
    folders = {path: by_label for path, by_label in folders.items() if by_label}
    labels = {label for by_label in folders.values() for label in by_label}
    names = [
        file.stem for by_label in folders.values() for own in by_label.values() for file in own
    ]
    if len(labels) < 2 or 2 * len(labels) > len(names) or _is_numbered(names):
        return None
    splits: dict[str, Split] = {}
    for path, by_label in folders.items():
        split = _flat_split(path) if inner else ALL
        if split in splits:
            raise DataError(
                f"{root} holds the split '{split}' twice, the second time in {path.name}",
                "keep one of the two",
            )
        splits[split] = tuple(
            ImageClass(label, tuple(own), label) for label, own in sorted(by_label.items())
        )
    return ImageLayout("flat", root, splits)


def _flat_split(folder: Path) -> str:
    """Return the split that a folder such as `train_50` holds; empty for another folder."""
    name = canonical_split(re.sub(r"[_-]?\d+$", "", folder.name))
    return name if name in _SPLITS else ""


def _by_label(folder: Path) -> dict[str, list[Path]]:
    """Return label -> images of a folder; empty unless every name has a label."""
    by_label: dict[str, list[Path]] = {}
    for file in _images(folder):
        label, underscore, rest = file.stem.partition("_")
        if not (label and underscore and rest):
            return {}
        by_label.setdefault(label, []).append(file)
    return by_label


def _is_numbered(names: list[str]) -> bool:
    """Return whether names are numbers of images with endings in words: `0001_sat`, `0001_mask`."""
    endings = {name.partition("_")[2] for name in names}
    if any(end.isdigit() for end in endings):
        return False
    return 4 * len(endings) < len(names) or all(name.partition("_")[0].isdigit() for name in names)


def _from_tables(root: Path, tables: ImageTables) -> ImageLayout | None:
    splits = {split: _classes_of(rows) for split, rows in tables.splits.items()}
    ids = {split: _ids_of(rows) for split, rows in tables.splits.items()}
    if len(splits) == 1 and not splits.keys() & _SPLITS:
        # A single table that is not named after a split is a set without splits.
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
    """Return id -> file of the images of a CSV, without ids that several images have."""
    uses = Counter(row.id for row in rows)
    return {row.id: row.file for row in rows if row.id and uses[row.id] == 1}
