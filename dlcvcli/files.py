"""Files written whole or not at all, folders, and digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from dlcvcli.errors import DlcvError, UsageError


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


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file, and its folder, so that a crash leaves the old one or the new one.

    Text is written as UTF-8.

    Raises:
        DlcvError: it cannot be written; names the reason.
    """
    try:
        with replacing(path, path.with_name(f".{path.name}.{os.getpid()}.tmp")) as file:
            file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise DlcvError(f"cannot write {path}: {error.strerror or error}") from error


@contextmanager
def replacing(path: Path, partial: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` once it is complete and on the disk.

    Args:
        path: the file to write; its folder is made.
        partial: where its bytes are until then, in the same folder; deleted if writing fails.

    Raises:
        OSError: it cannot be written; `path` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as file:
            yield file
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


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
