"""The command line: one file per command. Each parses, calls the library and prints.

Nothing heavy is imported at module level here, so that `dlcv --help` answers at once.
"""

from __future__ import annotations

import errno
import io
import os
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
    from dlcvcli.cli.app import app
    from dlcvcli.cli.console import complain
    from dlcvcli.errors import (
        AlreadySaid,
        DlcvError,
        Interrupted,
        NonFiniteLoss,
        RankLost,
        UsageError,
    )
    from dlcvcli.machine import this_rank

    for stream in (sys.stdout, sys.stderr):
        # A pipe on Windows takes no bars and arrows; a question mark is better than a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # What all ranks meet together; they are started with the same flags.
    said_by_rank_0 = (Interrupted, NonFiniteLoss, RankLost, UsageError)

    try:
        app()
    except AlreadySaid as error:
        sys.exit(error.status)
    except DlcvError as error:
        if os.environ.get("DLCV_DEBUG"):
            raise
        if not (this_rank() and isinstance(error, said_by_rank_0)):
            complain(error.message, error.hint)
        sys.exit(int(error.status))
    except BrokenPipeError:
        # The reader of stdout has gone, as `| head` does; the same status as click's.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _MACHINE_ERRORS or os.environ.get("DLCV_DEBUG"):
            raise
        complain(f"{error.strerror}: {error.filename or 'while writing'}", "")
        sys.exit(1)
