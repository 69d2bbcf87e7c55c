"""Read CSV files that name images, with labels, ids, or both."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dlcvcli.data.csv_tables import CsvTable, csv_files, read_csv
from dlcvcli.data.set_paths import path_in_set
from dlcvcli.data.splits import by_split, canonical_split
from dlcvcli.errors import DataError

FILES, LABELS, IDS = ("filename", "file", "image"), ("label", "class"), ("id",)
_SPLITS = frozenset({"train", "val", "test"})


@dataclass(frozen=True)
class ImageRow:
    """A line of a CSV.

    Attributes:
        line: number of the line in the file.
        file: the image.
        label: its class; empty in a CSV without labels.
        id: its id; empty in a CSV without ids.
    """

    line: int
    file: Path
    label: str
    id: str


@dataclass(frozen=True)
class ImageTables:
    """The CSV files of a folder of images by class.

    Attributes:
        splits: split -> rows of its CSV, for CSV files with labels.
        unlabelled: CSV files of splits that name images without labels.
        problems: for each other CSV, the reason why it cannot be used.
    """

    splits: dict[str, list[ImageRow]]
    unlabelled: tuple[Path, ...]
    problems: tuple[DataError, ...]


def read_image_tables(root: Path, *, allow_outside: bool = False) -> ImageTables:
    """Return the CSV files in a folder of images by class.

    If one CSV can be used, every CSV that is named after a split must be usable too; CSV files with
    other names may hold something else.

    Raises:
        DataError: a CSV is empty, names a file that does not exist or lies outside of the folder,
            or gives an image two labels; or two CSV files are named after the same split.
    """
    labelled: dict[Path, list[ImageRow]] = {}
    unlabelled: list[Path] = []
    problems: dict[Path, DataError] = {}
    for path in csv_files(root):
        try:
            table = read_csv(path, (FILES, LABELS))
        except DataError as error:
            problems[path] = error
            continue
        if table.column(FILES) is not None and table.column(LABELS) is not None:
            labelled[path] = image_rows(table, root, allow_outside=allow_outside)
            _require_complete(table, labelled[path])
        elif table.column(FILES) is not None and _is_split(path):
            unlabelled.append(path)
        else:
            problems[path] = _wrong_columns(table)
    split_rows = {path: rows for path, rows in labelled.items() if _is_split(path)}
    for together in (
        split_rows,
        *({path: labelled[path]} for path in labelled.keys() - split_rows),
    ):
        _require_one_label(together)
    for path, problem in problems.items():
        if labelled and _is_split(path):
            raise problem
    if not labelled:
        problems |= {path: _wrong_columns(read_csv(path)) for path in unlabelled}
    return ImageTables(by_split(labelled), tuple(unlabelled), tuple(problems.values()))


def _wrong_columns(table: CsvTable) -> DataError:
    """Return the error for a CSV without the expected header."""
    return DataError(
        f"{table.path} has no columns of images and labels; its first line is "
        f"{table.describe_columns()}",
        "expected the header filename,label (or file or image, and class), then a line for each "
        "image; commas, semicolons or tabs between them",
    )


def image_rows(table: CsvTable, root: Path, *, allow_outside: bool = False) -> list[ImageRow]:
    """Return the rows of a CSV with a column of images; the files need not exist.

    Raises:
        DataError: a file lies outside of the root, and `allow_outside` is false.
    """
    names = list(table.fields(table.column(FILES)))
    folder = _folder_of(table.path, names[:1])
    labels, ids = table.fields(table.column(LABELS)), table.fields(table.column(IDS))
    return [
        ImageRow(
            line,
            path_in_set(
                name, folder, root, f"{table.path}, line {line}", allow_outside=allow_outside
            ),
            label,
            number,
        )
        for (line, _), name, label, number in zip(table.lines, names, labels, ids, strict=True)
    ]


def _is_split(path: Path) -> bool:
    return canonical_split(path.stem) in _SPLITS


def _folder_of(table: Path, names: list[str]) -> Path:
    """Return the folder of a CSV's images: the one named like it, `images`, or the CSV's own."""
    places = (table.with_suffix(""), table.parent / "images", table.parent)
    first = os.path.normpath(names[0]) if names else ""
    return next((place for place in places if os.path.isfile(place / first)), places[0])


def _require_complete(table: CsvTable, rows: list[ImageRow]) -> None:
    """Refuse a CSV that lacks lines, fields or files."""
    if not rows:
        raise DataError(f"{table.path} names no image", "add a line for each image, or remove it")
    names = table.fields(table.column(FILES))
    for row, name, (_, fields) in zip(rows, names, table.lines, strict=True):
        if not name or not row.label:
            raise DataError(
                f"{table.path}, line {row.line} lacks the {'label' if name else 'file name'}: it "
                f"holds {', '.join(repr(field) for field in fields[:4])}",
                "fill in both columns, or remove the line",
            )
        if not os.path.isfile(row.file):
            folder = table.path.stem
            raise DataError(
                f"{table.path.name} names {name} (line {row.line}), but {row.file} does not exist",
                f"put the images beside {table.path.name}, or into a folder {folder} or images "
                "beside it",
            )


def _require_one_label(tables: dict[Path, list[ImageRow]]) -> None:
    """Refuse an image with two labels, and two lines of a CSV for the same image."""
    seen: dict[Path, tuple[Path, ImageRow]] = {}
    for path, rows in tables.items():
        for row in rows:
            table, first = seen.setdefault(row.file, (path, row))
            where = f"{table.name}, line {first.line}"
            if first.label != row.label:
                raise DataError(
                    f"{row.file} has the label '{first.label}' ({where}) and the label "
                    f"'{row.label}' ({path.name}, line {row.line})",
                    "an image has one class: remove one of the two lines",
                )
            if first is not row and table == path:
                raise DataError(
                    f"{path}, line {row.line} names {row.file} a second time ({where})",
                    "remove one of the two lines",
                )
