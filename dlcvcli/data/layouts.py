"""Recognise the layout of a segmentation set: pairs of an image and its annotation per split.

A set without splits has the one split `all`. `validation` and `valid` are other names of the split
`val`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlcvcli.data.left_out import is_unread, left_out, unread_hint
from dlcvcli.data.reading import is_image
from dlcvcli.data.set_paths import path_in_set
from dlcvcli.data.splits import ALL, SPLIT_NAMES, by_split, chosen_split, folders_in
from dlcvcli.errors import DataError, UsageError, nearest

LayoutName = Literal["sat_mask", "images_masks", "camvid", "voc"]


class LayoutNotFound(DataError):
    """A folder holds no segmentation set at all, unlike one whose set cannot be used."""


@dataclass(frozen=True)
class Pair:
    """An image file and its annotation file; `name` is the name that users see."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class Layout:
    """A recognised segmentation set.

    Attributes:
        name: the layout.
        root: the folder of the set: the given one, or the only folder inside it.
        splits: split name -> pairs in the order of their names.
        preset: the class set that the layout implies, if any.
    """

    name: LayoutName
    root: Path
    splits: dict[str, tuple[Pair, ...]]
    preset: str | None

    def describe(self) -> str:
        """Return one line: the layout, the size of each split, and the images left out."""
        sizes = ", ".join(f"{split} {len(pairs)}" for split, pairs in self.splits.items())
        return f"layout {self.name}: {sizes}{self.left_out()}"

    def left_out(self) -> str:
        """Return a text on the images of the folder that are in no split; see `left_out.left_out`.

        It is empty for a VOC devkit: its lists name the images in use, and most of the others are
        for detection.
        """
        if self.name == "voc":
            return ""
        pairs = [pair for split in self.splits.values() for pair in split]
        used = [path for pair in pairs for path in (pair.image, pair.mask)]
        return left_out(self.root, used, SPLIT_NAMES)


def find_layout(root: Path, layout: str = "auto") -> Layout:
    """Recognise a segmentation set, looking through one wrapping folder.

    Args:
        root: the folder.
        layout: a layout's name, or `auto`.

    Raises:
        UsageError: there is no such layout.
        LayoutNotFound: the folder is empty or holds no known layout.
        DataError: the folder is missing, or an image lacks its annotation or the reverse.
    """
    if not root.exists():
        raise DataError(f"data folder {root} does not exist")
    if not root.is_dir():
        raise DataError(f"{root} is a file; a data folder is needed")
    if layout != "auto" and layout not in _FINDERS:
        raise UsageError(f"unknown layout '{layout}'", nearest(layout, ("auto", *_FINDERS)))
    finders = _FINDERS if layout == "auto" else {layout: _FINDERS[layout]}
    for folder in (root, *_wrapped(root)):
        for find in finders.values():
            recognised = find(folder)
            if recognised is not None:
                return recognised
    raise LayoutNotFound(_not_recognised(root, layout), unread_hint(root) + _EXPECTED)


def pairs_of(layout: Layout, split: str) -> tuple[Pair, ...]:
    """Return the pairs of a split; of a set without splits, all pairs.

    Raises:
        DataError: there is no such split.
    """
    return chosen_split(layout.splits, split, layout.root)


def find_image(pairs: tuple[Pair, ...], name: str) -> Pair:
    """Return the pair with a name, which may be short: `0013` for `0013_sat.jpg`.

    Raises:
        UsageError: no pair has this name.
    """
    for pair in pairs:
        if name in {pair.name, pair.image.name, pair.image.stem}:
            return pair
    raise UsageError(
        f"no image '{name}' in the validation split, and no file of that name",
        nearest(name, (pair.name for pair in pairs)) if len(pairs) <= 500 else "",
    )


_EXPECTED = (
    "expected NNNN_sat.jpg + NNNN_mask.png, images/ + masks/, train/ + trainannot/ (each with or "
    "without split folders), or a Pascal VOC devkit"
)


def _wrapped(root: Path) -> list[Path]:
    folders = [p for p in folders_in(root) if p.name != "__MACOSX"]
    return folders if len(folders) == 1 else []


def _not_recognised(root: Path, layout: str) -> str:
    items = sorted(p.name for p in root.iterdir() if not p.name.startswith("."))
    if not items:
        return f"data folder {root} is empty"
    shown = ", ".join(items[:6]) + (", ..." if len(items) > 6 else "")
    kind = "no layout that dlcv knows" if layout == "auto" else f"no layout '{layout}'"
    return f"{root} holds {kind}; found {shown}"


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.is_file() and is_image(p))


def _stem(path: Path, suffix: str) -> str:
    return path.stem.removesuffix(suffix)


def _by_name(files: list[Path], suffix: str, kind: str) -> dict[str, Path]:
    files_by_name: dict[str, Path] = {}
    for path in files:
        name = _stem(path, suffix)
        if name in files_by_name:
            raise DataError(f"two {kind} are named {name}: {files_by_name[name]} and {path.name}")
        files_by_name[name] = path
    return files_by_name


def _match(
    folders: tuple[Path, ...],
    images: list[Path],
    masks: list[Path],
    image_suffix: str = "",
    mask_suffix: str = "",
) -> tuple[Pair, ...]:
    """Pair the files of one or two folders by name.

    Raises:
        DataError: an image has no mask, or a mask no image.
    """
    first = _by_name(images, image_suffix, "images")
    second = _by_name(masks, mask_suffix, "masks")
    lone_images = [name for name in first if name not in second]
    lone_masks = [name for name in second if name not in first]
    for names, kind, paths, other, suffix in (
        (lone_images, "image", first, "mask", mask_suffix),
        (lone_masks, "mask", second, "image", image_suffix),
    ):
        if names:
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise DataError(
                f"{kind} {paths[names[0]]} has no {other}{more}",
                _near_miss(names[0], suffix, folders, other)
                or f"add the {other}, or remove the {kind} from the set",
            )
    return tuple(Pair(name, first[name], second[name]) for name in sorted(first))


def _near_miss(name: str, suffix: str, folders: Iterable[Path], kind: str) -> str:
    """Return a hint that names the file which is probably the missing half of a pair."""
    for path in (path for folder in folders for path in sorted(folder.iterdir())):
        if is_unread(path) and _stem(path, suffix) == name:
            return f"{path} has a format that dlcv does not read: convert it to PNG"
        if suffix and is_image(path) and path.stem == name:
            return f"if {path.name} is the {kind}, rename it to {name}{suffix}{path.suffix}"
    return ""


def _splits(root: Path, pair: Callable[[Path], tuple[Pair, ...]]) -> dict[str, tuple[Pair, ...]]:
    """Return the pairs of each folder in `root` that is named after a split and holds some."""
    named = [folder for folder in folders_in(root) if folder.name.lower() in SPLIT_NAMES]
    by_folder = {folder: pair(folder) for folder in named}
    return by_split({folder: pairs for folder, pairs in by_folder.items() if pairs})


def _sat_pairs(folder: Path) -> tuple[Pair, ...]:
    files = _images(folder)
    images = [p for p in files if p.stem.endswith("_sat")]
    masks = [p for p in files if p.stem.endswith("_mask")]
    # Images without any mask are a test split without annotations, not a broken split.
    return _match((folder,), images, masks, "_sat", "_mask") if masks else ()


def _find_sat_mask(root: Path) -> Layout | None:
    splits = _splits(root, _sat_pairs)
    if not splits:
        pairs = _sat_pairs(root)
        splits = {ALL: pairs} if pairs else {}
    return Layout("sat_mask", root, splits, "landcover7") if splits else None


def _folder_pairs(images: Path, masks: Path) -> tuple[Pair, ...]:
    if not (images.is_dir() and masks.is_dir()):
        return ()
    return _match((images, masks), _images(images), _images(masks))


def _find_images_masks(root: Path) -> Layout | None:
    splits = _splits(root, lambda folder: _folder_pairs(folder / "images", folder / "masks"))
    if not splits and (root / "images").is_dir():
        splits = _splits(
            root / "images", lambda folder: _folder_pairs(folder, root / "masks" / folder.name)
        )
    if not splits:
        pairs = _folder_pairs(root / "images", root / "masks")
        splits = {ALL: pairs} if pairs else {}
    return Layout("images_masks", root, splits, None) if splits else None


def _find_camvid(root: Path) -> Layout | None:
    annotated = [
        (folder, root / f"{folder.name}annot")
        for folder in folders_in(root)
        if (root / f"{folder.name}annot").is_dir()
    ]
    by_folder = {folder: _folder_pairs(folder, annotations) for folder, annotations in annotated}
    splits = by_split({folder: pairs for folder, pairs in by_folder.items() if pairs})
    return Layout("camvid", root, splits, "camvid11") if splits else None


def _find_voc(root: Path) -> Layout | None:
    """Find a Pascal VOC devkit, given `VOCdevkit/VOCyear` or the folder that holds `VOCdevkit`."""
    years = [root, *sorted(root.glob("VOCdevkit/VOC*"))]
    kits = [folder for folder in years if (folder / "ImageSets" / "Segmentation").is_dir()]
    if not kits:
        return None
    if len(kits) > 1:
        listed = ", ".join(folder.name for folder in kits)
        raise DataError(f"{root} holds several years of VOC: {listed}", "name one of their folders")
    kit = kits[0]
    files = sorted((kit / "ImageSets" / "Segmentation").glob("*.txt"))
    by_file = {file: _listed_pairs(file, kit) for file in files}
    splits = by_split({file: pairs for file, pairs in by_file.items() if pairs})
    return Layout("voc", kit, splits, "voc21") if splits else None


def _listed_pairs(file: Path, kit: Path) -> tuple[Pair, ...]:
    """Return the pairs that a split file names, in the order of their names."""
    images, masks = kit / "JPEGImages", kit / "SegmentationClass"
    names = sorted({line.strip() for line in os.fsdecode(file.read_bytes()).split("\n")} - {""})
    pairs = [
        Pair(
            name,
            path_in_set(f"{name}.jpg", images, kit, file.name),
            path_in_set(f"{name}.png", masks, kit, file.name),
        )
        for name in names
    ]
    if not any(pair.mask.is_file() for pair in pairs):
        # The test split comes without annotations.
        return ()
    for pair in pairs:
        for kind, path in (("image", pair.image), ("mask", pair.mask)):
            if not path.is_file():
                raise DataError(
                    f"{pair.name} of {file.name} has no {kind}: {path} does not exist",
                    f"add the {kind}, or remove its line from {file}",
                )
    return tuple(pairs)


_FINDERS: dict[str, Callable[[Path], Layout | None]] = {
    "camvid": _find_camvid,
    "sat_mask": _find_sat_mask,
    "images_masks": _find_images_masks,
    "voc": _find_voc,
}
