"""Count and name the image files that a set leaves out, so that none is skipped silently."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from itertools import chain, islice
from pathlib import Path

from dlcvcli.data.reading import is_image

# Formats that cameras, phones and editors write; `is_unread` excludes those that dlcv reads.
_FORMATS = frozenset(
    {
        *(".apng", ".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dds", ".dng", ".eps", ".exr"),
        *(".gif", ".hdr", ".heic", ".heif", ".icns", ".ico", ".j2k", ".jfif", ".jp2", ".jpe"),
        *(".jpx", ".jxl", ".nef", ".orf", ".pbm", ".pcx", ".pgm", ".pnm", ".psd", ".raf"),
        *(".bmp", ".ppm", ".sgi", ".tga", ".tif", ".tiff", ".webp", ".xcf"),
    }
)
_NAMED = 2
_LOOKED_AT = 10_000


def is_unread(path: Path) -> bool:
    """Return whether a file has the suffix of an image format that dlcv does not read."""
    is_format = path.suffix.lower() in _FORMATS and not path.name.startswith(".")
    return is_format and not is_image(path)


def left_out(
    root: Path, used: Iterable[Path], split_names: Collection[str], *, everywhere: bool = False
) -> str:
    """Return a text on the images that a set leaves out, to follow its description.

    It is empty if there are none. Only those top folders of the set are searched that hold its
    images or are named after a split, so that figures and notes beside them are not reported.

    Args:
        root: the set's folder.
        used: its images and masks.
        split_names: names of splits, in lower case.
        everywhere: search all folders, and the files beside them.
    """
    known = {os.fspath(path) for path in used}
    top = os.fspath(root / "x")[:-1]
    held = {path.removeprefix(top).split(os.sep, 1)[0] for path in known if path.startswith(top)}
    missed: list[Path] = []
    empty: list[Path] = []
    names, folders = _entries(root, links=True)
    if everywhere or held & set(names):
        missed += _missed(root, names, known)
    for name in folders:
        if everywhere or name in held or name.lower() in split_names:
            _scan(root / name, split_names, known, missed, empty)
    # Links to folders are not searched, and may hold a complete split.
    empty = [
        path for path in empty if not any(file.startswith(f"{path}{os.sep}") for file in known)
    ]
    parts = []
    if readable := [path for path in missed if is_image(path)]:
        parts.append(f"{_count(readable, 'image')} left out ({_some(readable, root)})")
    if unread := [path for path in missed if is_unread(path)]:
        parts.append(_describe_unread(unread, root))
    if empty:
        parts.append(f"no images in {_some(empty, root)}")
    return "".join(f"; {part}" for part in parts)


def describe_unread(folder: Path) -> str:
    """Return a line on the files in a folder whose image format dlcv does not read, or ""."""
    unread = sorted(path for path in folder.iterdir() if is_unread(path))
    return f"{folder}: {_describe_unread(unread, folder)}" if unread else ""


def _describe_unread(unread: Sequence[Path], root: Path) -> str:
    formats = ", ".join(sorted({path.suffix.lower() for path in unread}))
    some = _some(unread, root)
    return f"{_count(unread, 'file')} left out, since dlcv does not read {formats} ({some})"


def unread_hint(root: Path) -> str:
    """Return a hint for an unrecognised set with images in a format that dlcv does not read."""
    levels = ("*", "*/*", "*/*/*")
    files = islice(chain.from_iterable(root.glob(level) for level in levels), _LOOKED_AT)
    first = next((path for path in files if is_unread(path)), None)
    if first is None:
        return ""
    return (
        f"dlcv does not read {first.suffix} ({first.relative_to(root)}): convert the images to "
        "PNG; "
    )


def _scan(
    folder: Path,
    split_names: Collection[str],
    known: Collection[str],
    missed: list[Path],
    empty: list[Path],
) -> bool:
    """Collect unknown images into `missed` and folders without images into `empty`.

    Returns:
        Whether the folder holds any image, known or unknown.
    """
    names, folders = _entries(folder)
    own = _missed(folder, names, known)
    missed += own
    inner = [_scan(folder / name, split_names, known, missed, empty) for name in folders]
    some = bool(own) or any(inner) or any(_join(folder, name) in known for name in names)
    if not some and (not (names or folders) or folder.name.lower() in split_names):
        empty.append(folder)
    return some


def _entries(folder: Path, *, links: bool = False) -> tuple[list[str], list[str]]:
    """Return the names of the files and of the folders in a folder, without hidden ones."""
    names: list[str] = []
    folders: list[str] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name != "__MACOSX":
                # Below the top of a set, a link may lead back to a folder above it.
                inner = entry.is_dir() and (links or not entry.is_symlink())
                (folders if inner else names).append(entry.name)
    return sorted(names), sorted(folders)


def _missed(folder: Path, names: Iterable[str], known: Collection[str]) -> list[Path]:
    # To make a Path for each of a million files takes longer than to list them.
    paths = (folder / name for name in names if _join(folder, name) not in known)
    return [path for path in paths if is_image(path) or is_unread(path)]


def _join(folder: Path, name: str) -> str:
    return os.path.join(folder, name) if folder != Path() else name


def _count(paths: Sequence[Path], what: str) -> str:
    return f"{len(paths)} {what}{'' if len(paths) == 1 else 's'}"


def _some(paths: Sequence[Path], root: Path) -> str:
    shown = ", ".join(path.relative_to(root).as_posix() for path in paths[:_NAMED])
    return shown + (f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else "")
