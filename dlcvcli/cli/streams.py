"""Keep commands running when a standard stream is closed or the reader of a pipe ends.

The results of a command are its files and its exit status. So output to a closed stream is dropped
(`>&-` works like `>/dev/null`), and so is output to a pipe that nobody reads any more
(`dlcv eval ... | head -1`): the work is completed, and the exit status tells how it ended.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from typing import Any


def open_streams() -> None:
    """Make stdin, stdout and stderr usable, whatever streams the process was started with.

    Characters that stdout and stderr cannot encode are written as question marks.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            _occupy(number)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
        elif number and isinstance(stream, io.TextIOWrapper):
            # The encoding of a pipe on Windows has no bars and arrows.
            stream.reconfigure(errors="replace")
            if _is_pipe(stream):
                setattr(sys, name, _lasting(stream))


def forget_output() -> None:
    """Drop the output that stdout still buffers, after it could not be written."""
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 1)


def _occupy(number: int) -> None:
    """Open /dev/null as a closed descriptor, whose number the next opened file would get."""
    try:
        os.fstat(number)
    except OSError:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, number)
        if null != number:
            os.close(null)


def _is_pipe(stream: io.TextIOWrapper) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """Return a stream to the same pipe that still works when the reader has ended."""
    raw = _Pipe(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Pipe(io.FileIO):
    """A pipe that drops its output once the reader has ended."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # EINVAL: a broken pipe of Windows.
            if error.errno not in {errno.EPIPE, errno.EINVAL}:
                raise
            with open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), self.fileno())
            return super().write(data)
