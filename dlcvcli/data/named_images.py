"""Images by the names that an episode file calls them, of a set that need not have labels."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from dlcvcli.data.image_classes import FILE_COLUMNS, ID_COLUMNS, column_of, folder_of_table
from dlcvcli.data.layouts import canonical_split
from dlcvcli.errors import DataError


def locate_images(folder: Path, names: Sequence[str], split: str | None = None) -> list[Path]:
    """Return the files that names stand for: paths below the folder, or ids of its CSV files.

    Args:
        folder: the set, or a folder that holds nothing but the set's.
        names: what to find.
        split: the name of the CSV, without its ending, that ids are of; None for any.

    Raises:
        DataError: a name stands for no file, or an id for two.
    """
    if not folder.is_dir():
        raise DataError(f"data folder {folder} does not exist")
    inner = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    roots = [folder, *(inner if len(inner) == 1 else ())]
    ids: dict[str, Path] | None = None
    found = []
    for name in names:
        path = next((root / name for root in roots if (root / name).is_file()), None)
        if path is None:
            if ids is None:
                ids = _ids(roots, split)
            path = ids.get(name)
        if path is None or not path.is_file():
            raise DataError(
                f"image '{name}' is not in {folder}",
                "give the set that the episodes were drawn from; its CSV may name images by id",
            )
        found.append(path)
    return found


def _ids(roots: Sequence[Path], split: str | None) -> dict[str, Path]:
    found: dict[str, tuple[Path, Path]] = {}
    for table in (path for root in roots for path in sorted(root.glob("*.csv"))):
        if split is not None and canonical_split(table.stem) != canonical_split(split):
            continue
        for name, path in _rows(table):
            if name in found and found[name][0] != path:
                raise DataError(
                    f"the id '{name}' is in {found[name][1].name} and in {table.name}",
                    "say which of them is meant with --split NAME",
                )
            found[name] = (path, table)
    return {name: path for name, (path, _) in found.items()}


def _rows(table: Path) -> list[tuple[str, Path]]:
    """Return (id, file) of the rows of a CSV that has both columns."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            file = column_of(reader.fieldnames, FILE_COLUMNS)
            known = column_of(reader.fieldnames, ID_COLUMNS)
            if file is None or known is None:
                return []
            rows = [(row[known], row[file]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} is not CSV: {error}") from error
    folder = folder_of_table(table, [row[1] for row in rows[:1]])
    return [(name, folder / path) for name, path in rows]
