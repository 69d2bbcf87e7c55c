"""Flags of a command, each said once: the field of a dataclass is its name, its type and its help.

The command line builds its signature from such dataclasses, settings are filled from them, and a
task reads what was typed as attributes that a type checker follows. Imports the standard library
only, since `dlcv --help` lists every flag.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class FlagInfo:
    """What the command line knows of a flag beyond its name and type.

    Attributes:
        help: what the value is.
        panel: its heading in the help.
        setting: dotted key of the setting that it fills; None where it fills none.
        default: what the help says of the default, which is defined elsewhere.
        names: as typed; empty for `--the-field`.
        least, most: bounds of a number.
        metavar: what the help calls the value.
        complete: returns the values that begin with a text.
        passed_on: whether the processes that `--compare` starts get it too.
        argument: whether it is an argument, typed without a name.
    """

    help: str
    panel: str | None = None
    setting: str | None = None
    default: str | None = None
    names: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    metavar: str | None = None
    complete: Callable[[str], list[str]] | None = None
    passed_on: bool = True
    argument: bool = False


def argument(text: str, *, metavar: str) -> Any:
    """Return the field of an argument, which has to be given."""
    return field(metadata={"flag": FlagInfo(text, metavar=metavar, argument=True)})


def flag(
    text: str,
    *names: str,
    panel: str | None = None,
    setting: str | None = None,
    default: str | None = None,
    least: float | None = None,
    most: float | None = None,
    metavar: str | None = None,
    complete: Callable[[str], list[str]] | None = None,
    passed_on: bool = True,
    value: Any = None,
    required: bool = False,
) -> Any:
    """Return the field of a flag; see `FlagInfo`.

    Args:
        value: of the field where the flag is not typed.
        required: the flag has to be typed.
    """
    info = FlagInfo(
        text,
        panel=panel,
        setting=setting,
        default=default,
        names=names,
        least=least,
        most=most,
        metavar=metavar,
        complete=complete,
        passed_on=passed_on,
    )
    return field(default=MISSING if required else value, metadata={"flag": info})


@dataclass(frozen=True)
class Flags:
    """Base of the flags of a command; one that was not typed has its default, mostly None."""

    def typed(self) -> list[str]:
        """Return the flags that were typed, e.g. ``["--n-way"]``."""
        return [names_of(one)[0] for one in fields(self) if getattr(self, one.name) != one.default]

    def settings(self) -> dict[str, Any]:
        """Return dotted key -> value of the settings that flags fill; None where not typed."""
        return {
            setting: getattr(self, one.name)
            for one in fields(self)
            if (setting := info_of(one).setting) is not None
        }

    def as_words(self) -> list[str]:
        """Return the typed flags as they are passed on to another process."""
        words: list[str] = []
        for one in fields(self):
            name, value = names_of(one)[0], getattr(self, one.name)
            if not info_of(one).passed_on or value == one.default:
                continue
            if isinstance(value, bool):
                # `--rotations/--no-rotations`: the second name switches it off.
                words.append(name.split("/")[0 if value else -1])
            elif isinstance(value, list):
                words += [word for each in value for word in (name, str(each))]
            elif value is not None:
                words += [name, str(value)]
        return words


@dataclass(frozen=True)
class ModelFlags(Flags):
    """Base of the flags with which a trained model is run."""

    @property
    def graph(self) -> str | None:
        """The switch of `dlcv export` that makes the ONNX file these flags need, if any."""
        return None


@dataclass(frozen=True)
class ExportFlags(Flags):
    """Base of the flags of `dlcv export`."""

    @property
    def stem(self) -> str:
        """Name of the file without its suffix, unless --out gives one."""
        return "model"


def info_of(one: Field[Any]) -> FlagInfo:
    """Return what a field of `Flags` says of its flag."""
    info: FlagInfo = one.metadata["flag"]
    return info


def names_of(one: Field[Any]) -> tuple[str, ...]:
    """Return how a flag is typed, e.g. ``("--n-way",)``."""
    return info_of(one).names or (f"--{one.name.replace('_', '-')}",)
