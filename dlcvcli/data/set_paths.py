"""Files that a CSV or a list of a set names: one spelling of each, and none outside of the set."""

from __future__ import annotations

import os
from pathlib import Path

from dlcvcli.errors import DataError


def path_in_set(
    name: str, folder: Path, root: Path, source: str, *, allow_outside: bool | None = None
) -> Path:
    """Return the file that a name stands for, spelled as a path below the root where it lies there.

    Lists come with the sets of others, and what they name is shown in figures and pages. Folders
    of the set that are links to elsewhere are followed: whoever put them there meant them.

    Args:
        name: relative to the folder, or absolute.
        folder: in the set, or its root.
        root: the set's folder.
        source: what names it, for the message, such as `train.csv, line 3`.
        allow_outside: whether the user accepts files outside of the root; None where there is no
            flag for it.

    Raises:
        DataError: it lies outside.
    """
    # To take a path apart takes longer than all else here, and sets have a million of them.
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
