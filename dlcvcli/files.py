"""Files written whole or not at all, folders, and digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

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


def write_atomically(path: Path, content: str | bytes, *, sync: bool = True) -> None:
    """Write a file, and its folder, so that a crash leaves the old one or the new one.

    Text is written as UTF-8, see `as_bytes`. Without `sync` that holds for a crash of this process
    and a full disk, but not for a crash of the machine; it saves 5 ms a file on a common disk.

    Raises:
        DlcvError: it cannot be written; names the reason.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(as_bytes(content) if isinstance(content, str) else content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise DlcvError(f"cannot write {path}: {error.strerror or error}") from error


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
