"""Write files and folders completely or not at all; compute digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from dlcvcli.errors import DataError, DlcvError, UsageError

_PARTIAL = ".partial"


def make_folder(path: Path) -> None:
    """Create a folder for results and the folders above it, unless it exists.

    Raises:
        UsageError: it, or a folder above it, is a file.
        DlcvError: it cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next((part for part in (path, *path.parents) if part.is_file()), path)
        raise UsageError(f"{file} is a file, not a folder", "choose another folder") from error
    except OSError as error:
        raise DlcvError(f"cannot create the folder {path}: {error.strerror or error}") from error


def absolute_if_file(name: str, keywords: Collection[str] = ()) -> str:
    """Return the absolute path of an existing file; a keyword or any other name is unchanged.

    Settings with absolute paths can be used from any folder, e.g. to resume a run.
    """
    is_file = name not in keywords and Path(name).is_file()
    return str(Path(name).resolve()) if is_file else name


def is_new(path: Path) -> bool:
    """Return whether a path is free for `new_folder`: missing, empty, or with its leftovers."""
    return not path.exists() or (path.is_dir() and all(_is_leftover(p) for p in path.iterdir()))


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder whose content appears as `path` when the block ends without error.

    A process that is killed leaves only the temporary folder behind. Its name starts with a dot, so
    that no data layout takes it for a set, and the next call for the same path removes it.

    Args:
        path: a path that does not exist, or an empty folder. An empty folder is filled, not
            replaced: it may be a mount point, a link or the current folder.

    Raises:
        UsageError: it, or a folder above it, is a file.
        DataError: the folder is not empty.
        DlcvError: it cannot be written; names the reason.
    """
    in_place = path.exists()
    parent = path if in_place else path.parent
    make_folder(parent)
    if not is_new(path):
        raise DataError(f"the folder {path} is not empty", "choose a new or an empty folder")
    mark = f".{path.resolve().name}."
    for other in [p for p in parent.iterdir() if p.name.startswith(mark) and _is_leftover(p)]:
        shutil.rmtree(other, ignore_errors=True)
    partial = parent / f"{mark}{os.getpid()}{_PARTIAL}"
    try:
        partial.mkdir()
        yield partial
        if in_place:
            for child in sorted(partial.iterdir()):
                child.rename(path / child.name)
        else:
            partial.rename(path)
    except OSError as error:
        raise DlcvError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_leftover(path: Path) -> bool:
    """Return whether a folder is the temporary folder of a `new_folder` whose process has ended."""
    pid = path.name.removesuffix(_PARTIAL).rpartition(".")[2]
    if not (path.name.startswith(".") and path.name.endswith(_PARTIAL) and pid.isdecimal()):
        return False
    # In a container, different processes often get the same id.
    if int(pid) == os.getpid():
        return True
    # On Windows the call below would end the process instead of asking about it.
    if os.name == "nt":
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return False


def write_atomically(path: Path, content: str | bytes, *, sync: bool = True) -> None:
    """Write a file, and create its folder, so that a crash leaves either the old or the new file.

    Text is written as UTF-8, see `as_bytes`. Without `sync` this holds for a crash of the process
    and a full disk, but not for a crash of the machine; that saves 5 ms per file on a common disk.

    If the path is a link, its target is replaced. Devices and pipes are written to directly:
    replacing `/dev/null`, which root may name, would break it for all programs.

    Raises:
        DlcvError: the file cannot be written; names the reason.
    """
    data = as_bytes(content) if isinstance(content, str) else content
    try:
        target = path.resolve() if path.is_symlink() else path
        if target.exists() and not (target.is_file() or target.is_dir()):
            target.write_bytes(data)
            return
        partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        with replacing(target, partial, sync=sync) as file:
            file.write(data)
    except OSError as error:
        raise DlcvError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def replacing(path: Path, partial: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the block ends without error.

    Args:
        path: the file to write; its folder is created.
        partial: file for the bytes until then, in the same folder; deleted if writing fails.
        sync: wait until the bytes are on the disk.

    Raises:
        OSError: the file cannot be written; `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def write_json(path: Path, data: Any) -> None:
    """Write plain types as indented JSON, atomically.

    Raises:
        ValueError: the data holds NaN or infinity, which is a bug.
        DlcvError: the file cannot be written.
    """
    write_atomically(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def as_bytes(text: str) -> bytes:
    """Return text as UTF-8; file names in it that are not UTF-8 keep their bytes."""
    return text.encode("utf-8", "surrogateescape")


def as_readable(text: str) -> str:
    """Return text with a replacement character for each byte of a file name that is not UTF-8."""
    return as_bytes(text).decode("utf-8", "replace")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
