"""The command line: one file per command. Each parses, calls the library and prints.

Slow imports are inside the functions, so that `dlcv --help` is fast.
"""

from __future__ import annotations

import errno
import os
import re
import sys

# Errors caused by a path or a disk; any other OSError is a bug and keeps its traceback.
_MACHINE_ERRORS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
        *(errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EIO),
    }
)


def main() -> None:
    """Run `dlcv`; errors of the user are written to stderr as one line and a hint."""
    from dlcvcli.cli.app import make_app
    from dlcvcli.cli.console import complain
    from dlcvcli.cli.streams import forget_output, open_streams
    from dlcvcli.errors import (
        AlreadySaid,
        DlcvError,
        Interrupted,
        NonFiniteLoss,
        RankLost,
        UsageError,
    )
    from dlcvcli.machine import this_rank

    open_streams()
    # All ranks raise these together, so only rank 0 reports them.
    reported_by_rank_0 = (Interrupted, NonFiniteLoss, RankLost, UsageError)

    try:
        _refuse_empty(sys.argv[1:])
        try:
            make_app()()
        finally:
            # An error of this flush is one line; at the interpreter's exit it would be a traceback.
            sys.stdout.flush()
    except AlreadySaid as error:
        sys.exit(error.status)
    except DlcvError as error:
        if os.environ.get("DLCV_DEBUG"):
            raise
        if not (this_rank() and isinstance(error, reported_by_rank_0)):
            complain(error.message, error.hint)
        sys.exit(int(error.status))
    except OSError as error:
        if error.errno not in _MACHINE_ERRORS or os.environ.get("DLCV_DEBUG"):
            raise
        complain(f"{error.strerror}: {error.filename or 'while writing'}", "")
        forget_output()
        sys.exit(1)


def _refuse_empty(arguments: list[str]) -> None:
    """Refuse an empty argument: no flag accepts one, and as a path it is the current folder.

    Raises:
        UsageError: names the flag.
    """
    from dlcvcli.errors import UsageError

    for before, argument in zip(["", *arguments], arguments, strict=False):
        flag = re.fullmatch(r"(--[\w-]+)=", argument)
        if argument and flag is None:
            continue
        name = flag[1] if flag else before if before.startswith("--") else ""
        raise UsageError(
            f"the value of {name} is empty" if name else "an argument is empty",
            "is a variable of the shell not set? The current folder is .",
        )
