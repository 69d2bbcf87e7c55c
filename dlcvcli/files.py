"""Files and folders written completely or not at all, and digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from dlcvcli.errors import DataError, DlcvError, UsageError

_PARTIAL = ".partial"


def make_folder(path: Path) -> None:
    """Make a folder for results, with those above it; one that is there is used.

    Raises:
        UsageError: it, or one above it, is a file.
        DlcvError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next((part for part in (path, *path.parents) if part.is_file()), path)
        raise UsageError(f"{file} is a file, not a folder", "choose another folder") from error
    except OSError as error:
        raise DlcvError(f"cannot make the folder {path}: {error.strerror or error}") from error


def is_new(path: Path) -> bool:
    """Return whether nothing but leftovers of `new_folder` would be in the way of a new folder."""
    return not path.exists() or (path.is_dir() and all(_is_leftover(p) for p in path.iterdir()))


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder whose content appears as `path` when the block ends without error.

    A process that is killed leaves the temporary folder alone. Its name starts with a dot, so that
    no data layout takes it for a set, and the next call for the same path removes it.

    Args:
        path: does not exist, or is an empty folder. That one is filled, not replaced: it may be a
            mount point, a link or the current folder.

    Raises:
        UsageError: it, or one above it, is a file.
        DataError: it already holds something.
        DlcvError: it cannot be written; names the reason.
    """
    in_place = path.exists()
    parent = path if in_place else path.parent
    make_folder(parent)
    if not is_new(path):
        raise DataError(f"{path} already holds something", "name a new or an empty folder")
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
    """Return whether a folder is the temporary one of a `new_folder` whose process has ended."""
    pid = path.name.removesuffix(_PARTIAL).rpartition(".")[2]
    if not (path.name.startswith(".") and path.name.endswith(_PARTIAL) and pid.isdecimal()):
        return False
    # In a container, processes get the same few ids again and again.
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
    """Write a file, and its folder, so that a crash leaves the old one or the new one.

    Text is written as UTF-8, see `as_bytes`. Without `sync` that holds for a crash of this process
    and a full disk, but not for a crash of the machine; it saves 5 ms a file on a common disk.

    Of a link, what it leads to is replaced. What is no file is written to as it is: root may name
    `/dev/null`, which a file in its place would end for the whole machine.

    Raises:
        DlcvError: it cannot be written; names the reason.
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
    """Open a file that replaces `path` once it is complete.

    Args:
        path: the file to write; its folder is made.
        partial: where its bytes are until then, in the same folder; deleted if writing fails.
        sync: wait until they are on the disk.

    Raises:
        OSError: it cannot be written; `path` is as it was.
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
    """Write plain types as indented JSON, atomically; NaN is refused as a bug."""
    write_atomically(path, json.dumps(data, indent=2, allow_nan=False) + "\n")


def as_bytes(text: str) -> bytes:
    """Return text as UTF-8; file names in it that are not UTF-8 keep the bytes that they have."""
    return text.encode("utf-8", "surrogateescape")


def as_readable(text: str) -> str:
    """Return text with a replacement character for each byte of a file name that is not UTF-8."""
    return as_bytes(text).decode("utf-8", "replace")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
