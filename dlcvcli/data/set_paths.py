"""Resolve file names in the CSV files and lists of a set, and refuse files outside of the set."""

from __future__ import annotations

import os
from pathlib import Path

from dlcvcli.errors import DataError


def path_in_set(
    name: str, folder: Path, root: Path, source: str, *, allow_outside: bool | None = None
) -> Path:
    """Return the path of a named file, as a path below the root if it lies there.

    A list that comes with somebody else's set must not make dlcv read, and show in figures, files
    outside of the set. Links to folders elsewhere are followed: the user put them into the set.

    Args:
        name: relative to the folder, or absolute.
        folder: folder of the set that relative names start from.
        root: the set's folder.
        source: the place of the name, for the message, such as `train.csv, line 3`.
        allow_outside: whether the user accepts files outside of the root; None if the command has
            no flag for that.

    Raises:
        DataError: the file lies outside of the root, and that is not accepted.
    """
    # This test avoids the slow path functions below for nearly all of a million names.
    if ".." not in name and not os.path.isabs(name) and not os.path.splitdrive(name)[0]:
        return folder / name
    file, top = os.path.abspath(folder / name), Path(os.path.abspath(root))
    if Path(file).is_relative_to(top):
        return root / Path(file).relative_to(top)
    # The list may name the set by a link to it, or the set be given by one.
    real, real_top = Path(os.path.realpath(file)), Path(os.path.realpath(root))
    if real.is_relative_to(real_top):
        return root / real.relative_to(real_top)
    if not allow_outside:
        flag = (
            "; if you trust the list: --allow-outside (in training --set data.allow_outside=true)"
        )
        raise DataError(
            f"{source} names {name}, which lies outside of {root}",
            "put the file, or a link to its folder, into the set"
            + ("" if allow_outside is None else flag),
        )
    return Path(file)
