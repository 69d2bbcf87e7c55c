"""The command line: one file per command. Each parses, calls the library and prints.

Nothing heavy is imported at module level here, so that `dlcv --help` answers at once.
"""

from __future__ import annotations

import errno
import os
import re
import sys

# What a path or a disk can do to us; any other OSError is a bug and keeps its trace.
_MACHINE_ERRORS = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
        *(errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EIO),
    }
)


def main() -> None:
    """Run `dlcv`: a user's error is one line and a hint on stderr, and the right exit status."""
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
    # What all ranks meet together; they are started with the same flags.
    said_by_rank_0 = (Interrupted, NonFiniteLoss, RankLost, UsageError)

    try:
        _refuse_empty(sys.argv[1:])
        try:
            make_app()()
        finally:
            # Here an error is one line; at the interpreter's end it would be a traceback.
            sys.stdout.flush()
    except AlreadySaid as error:
        sys.exit(error.status)
    except DlcvError as error:
        if os.environ.get("DLCV_DEBUG"):
            raise
        if not (this_rank() and isinstance(error, said_by_rank_0)):
            complain(error.message, error.hint)
        sys.exit(int(error.status))
    except OSError as error:
        if error.errno not in _MACHINE_ERRORS or os.environ.get("DLCV_DEBUG"):
            raise
        complain(f"{error.strerror}: {error.filename or 'while writing'}", "")
        forget_output()
        sys.exit(1)


def _refuse_empty(arguments: list[str]) -> None:
    """Refuse an empty argument: no flag takes one, and as a path it would be the current folder.

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
            "is it a variable of the shell that is not set? The current folder is .",
        )
