"""Lock a folder for one process, by a lock that the system releases when the process ends."""

from __future__ import annotations

import errno
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from dlcvcli.errors import DlcvError
from dlcvcli.files import as_readable, make_folder

LOCK = ".lock"

# The system's error numbers if another process holds the lock.
_HELD = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other dlcv processes out of a folder during a block; create the folder if missing.

    The system's lock on the file `.lock` in the folder ends with this process, however the process
    ends, and child processes do not inherit it. On a file system without locks, nothing is locked.

    Raises:
        DlcvError: another process holds the lock; names the process, its start and its command.
        UsageError, DlcvError: the folder cannot be created; see `files.make_folder`.
    """
    make_folder(folder)
    path = folder / LOCK
    try:
        # A command line may contain file names that are not UTF-8.
        file = path.open("a+", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise DlcvError(f"cannot write {path}: {error.strerror or error}") from error
    with file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _HELD:
                raise _in_use(folder, path) from None
        file.truncate(0)
        file.write(_this_process())
        file.flush()
        yield


def require_unlocked(folder: Path) -> None:
    """Refuse a folder that another process has locked; creates nothing.

    Raises:
        DlcvError: as for `locked`.
    """
    if (folder / LOCK).is_file():
        with locked(folder):
            pass


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        # Far beyond the text: Windows lets no other process read locked bytes.
        file.seek(1 << 20)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        # Not flock: loader processes would inherit it, and may live some seconds longer than the
        # run.
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _this_process() -> str:
    command = shlex.join(["dlcv", *sys.argv[1:]])
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {socket.gethostname()} since {since}: {command}\n"


def _in_use(folder: Path, path: Path) -> DlcvError:
    try:
        owner = as_readable(path.read_text(encoding="utf-8", errors="surrogateescape").strip())
    except OSError:
        owner = ""
    return DlcvError(
        f"{folder} is in use by {owner or 'another process'}",
        "wait until it has ended, or stop it; then run this command again",
    )
