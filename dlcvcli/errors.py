"""The errors that users can fix, and their exit statuses.

The message of an error says what went wrong, where, and which value was seen; its hint says how to
fix it. Any exception that is not a `DlcvError` is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of the `dlcv` command; after a signal it is 128 + the signal's number."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHECK_FAILED = 3


class DlcvError(Exception):
    """An error that users can fix.

    Args:
        message: what went wrong, where, and the value seen; one line.
        hint: how to fix it; one line, may be empty.
    """

    status: int = ExitStatus.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(DlcvError):
    """Flags contradict each other, or a name does not exist."""

    status = ExitStatus.USAGE


class ConfigError(UsageError):
    """A settings file, recipe or `--set` does not match the schema."""


class DataError(DlcvError):
    """A data folder, image or annotation cannot be used."""


class CheckpointError(DlcvError):
    """A checkpoint cannot be read, trusted or written, or does not fit the model."""


class ModelFileError(DlcvError):
    """An `.onnx` file is damaged, or was not written by dlcv."""


class DeviceError(DlcvError):
    """A device or execution provider that was asked for is not in use."""


class MissingExtra(DlcvError):
    """A command needs packages that are not installed."""


class RankLost(DlcvError):
    """Another rank of the run ended too early."""


class NonFiniteLoss(DlcvError):
    """A training loss is infinite or not a number."""


class CheckFailed(DlcvError):
    """A check that the user asked for (parity, a threshold) failed."""

    status = ExitStatus.CHECK_FAILED


class AlreadySaid(DlcvError):
    """A `dlcv` child process failed and has printed why; carries its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"dlcv ended with exit status {status}")
        self.status = status


class Interrupted(DlcvError):
    """A signal stopped the work, which was saved."""

    def __init__(self, signal_number: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = 128 + signal_number


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint for a mistyped name.

    Returns:
        ``did you mean 'x'?`` if a known name is similar, else the list of known names; empty if
        there are none.
    """
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return "known: " + ", ".join(choices) if choices else ""


@contextmanager
def naming(file: object) -> Iterator[None]:
    """Add a file's name to the message of an error raised in a block, unless it is there."""
    try:
        yield
    except DlcvError as error:
        if str(file) not in error.message:
            error.message = f"{file}: {error.message}"
            error.args = (error.message,)
        raise


def shorten(text: str, most: int = 60) -> str:
    """Return a text shortened to at most `most` characters and an ellipsis."""
    return text if len(text) <= most else f"{text[:most]}..."
