"""What can go wrong for a user, and the exit status that each kind ends with.

An error says what happened, where, and with which value; its hint says how to mend it. Everything
that is not a `DlcvError` is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum


class ExitStatus(IntEnum):
    """Exit statuses of the `dlcv` command; a signal adds 128 + its number."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHECK_FAILED = 3


class DlcvError(Exception):
    """Something that a user can mend.

    Args:
        message: what happened, where, with the value seen; one line.
        hint: how to mend it; one line, may be empty.
    """

    status: int = ExitStatus.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(DlcvError):
    """Flags that do not fit together, or a name that does not exist."""

    status = ExitStatus.USAGE


class ConfigError(UsageError):
    """A settings file, recipe or `--set` that does not fit the schema."""


class DataError(DlcvError):
    """A data folder, image or annotation that cannot be used."""


class CheckpointError(DlcvError):
    """A checkpoint that cannot be read, trusted, written or fitted to the model."""


class ModelFileError(DlcvError):
    """An `.onnx` file that is not one, or that dlcv did not write."""


class DeviceError(DlcvError):
    """A device or execution provider that was asked for and is not in force."""


class MissingExtra(DlcvError):
    """A command that needs a part of dlcv which is not installed."""


class RankLost(DlcvError):
    """Another rank of the run ended before its time."""


class NonFiniteLoss(DlcvError):
    """Training met a loss that is infinite or not a number."""


class CheckFailed(DlcvError):
    """A check that the user asked for (parity, a threshold) did not hold."""

    status = ExitStatus.CHECK_FAILED


class AlreadySaid(DlcvError):
    """A `dlcv` of ours failed and has said why; carries its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"dlcv ended with exit status {status}")
        self.status = status


class Interrupted(DlcvError):
    """A signal ended the work in good order."""

    def __init__(self, signal_number: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = 128 + signal_number


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word closest to a mistyped one.

    Returns:
        ``did you mean 'x'?`` where one is close, else the list of what is known; empty where
        nothing is.
    """
    choices = sorted(known)
    close = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return "known: " + ", ".join(choices) if choices else ""


@contextmanager
def naming(file: object) -> Iterator[None]:
    """Put a file's name before the message of an error that does not name it."""
    try:
        yield
    except DlcvError as error:
        if str(file) not in error.message:
            error.message = f"{file}: {error.message}"
            error.args = (error.message,)
        raise


def shorten(text: str, most: int = 60) -> str:
    """Return a text cut to a length that leaves an error readable."""
    return text if len(text) <= most else f"{text[:most]}..."
