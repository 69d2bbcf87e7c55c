"""The command line: one file per command. Each parses, calls the library and prints.

Nothing heavy is imported at module level here, so that `dlcv --help` answers at once.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run `dlcv`: a user's error is one line and a hint on stderr, and the right exit status."""
    from dlcvcli.cli.app import app
    from dlcvcli.errors import DlcvError

    try:
        app()
    except DlcvError as error:
        if os.environ.get("DLCV_DEBUG"):
            raise
        _complain(error.message, error.hint)
        sys.exit(int(error.status))
    except BrokenPipeError:
        # The reader of stdout has gone, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(0)


def _complain(message: str, hint: str) -> None:
    if os.environ.get("RANK", "0") != "0":
        return
    sys.stderr.write(f"error: {message}\n")
    if hint:
        sys.stderr.write(f"hint: {hint}\n")
