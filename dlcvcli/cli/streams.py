"""Standard streams that are closed, or whose reader goes away: neither ends a command.

What a command is for are its files and its exit status, which says how the work ended. So a closed
stream is one to nowhere (`>&-` is as good as `>/dev/null`), and so is a pipe from the moment that
nobody reads it (`dlcv eval ... | head -1`): the work goes on to its end, and its status stays.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from typing import Any


def open_streams() -> None:
    """Give this process a stdin, stdout and stderr that can be used, whatever it was started with.

    What stdout and stderr cannot encode becomes a question mark.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            _occupy(number)
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
        elif number and isinstance(stream, io.TextIOWrapper):
            # A pipe on Windows takes no bars and arrows.
            stream.reconfigure(errors="replace")
            if _is_pipe(stream):
                setattr(sys, name, _lasting(stream))


def forget_output() -> None:
    """Send what stdout still holds nowhere, as it could not be written where it should go."""
    with open(os.devnull, "wb") as null:
        os.dup2(null.fileno(), 1)


def _occupy(number: int) -> None:
    """Open a descriptor to nowhere; a file that is opened would get the number of a closed one."""
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
    """Return a stream to the same pipe that outlasts its reader."""
    raw = _Pipe(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Pipe(io.FileIO):
    """A pipe that leads nowhere once it is broken."""

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
