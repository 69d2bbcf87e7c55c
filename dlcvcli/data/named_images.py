"""Find the images that an episode file names, in a set with or without labels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from dlcvcli.data.csv_tables import csv_files, read_csv
from dlcvcli.data.image_table import FILES, IDS, image_rows
from dlcvcli.data.set_paths import path_in_set
from dlcvcli.data.splits import canonical_split
from dlcvcli.errors import DataError


def locate_images(
    folder: Path,
    names: Sequence[str],
    split: str | None = None,
    *,
    source: str = "an episode",
    allow_outside: bool = False,
) -> list[Path]:
    """Return the files of named images.

    Args:
        folder: the set, or a folder that holds nothing but the set's folder.
        names: paths below the folder, or ids of its CSV files.
        split: look for ids in the CSV of this split alone; None looks in every CSV.
        source: the place of the names, for messages.
        allow_outside: accept files outside of the folder.

    Raises:
        DataError: there is no such image, it lies outside of the folder, or two images have the
            same id.
    """
    if not folder.is_dir():
        raise DataError(f"data folder {folder} does not exist")
    inner = [p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")]
    roots = [folder, *(inner if len(inner) == 1 else ())]
    ids: dict[str, Path] | None = None
    files = []
    for name in names:
        places = (
            path_in_set(name, root, folder, source, allow_outside=allow_outside) for root in roots
        )
        path = next((place for place in places if os.path.isfile(place)), None)
        if path is None:
            if ids is None:
                ids = _ids(roots, split, allow_outside)
            path = ids.get(name)
        if path is None or not os.path.isfile(path):
            raise DataError(
                f"image '{name}' is not in {folder}",
                "give the set that the episodes were drawn from as --data; names are paths in it, "
                "or ids of its CSV files",
            )
        files.append(path)
    return files


def _ids(roots: Sequence[Path], split: str | None, allow_outside: bool) -> dict[str, Path]:
    owners: dict[str, tuple[Path, Path]] = {}
    for path in (path for root in roots for path in csv_files(root)):
        if split is not None and canonical_split(path.stem) != canonical_split(split):
            continue
        table = read_csv(path, (FILES, IDS))
        if table.column(FILES) is None or table.column(IDS) is None:
            continue
        for row in image_rows(table, path.parent, allow_outside=allow_outside):
            file, other = owners.setdefault(row.id, (row.file, path))
            if file != row.file:
                raise DataError(
                    f"the id '{row.id}' is in {other.name} and in {path.name}"
                    if other != path
                    else f"{path}, line {row.line}: the id '{row.id}' is used a second time",
                    "choose one of the two with --split NAME" if other != path else "",
                )
    return {name: file for name, (file, _) in owners.items()}
