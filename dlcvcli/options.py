"""Options of a command, each said once: the field of a dataclass is its name, type and help.

The command line builds its signature from such dataclasses, the settings are filled from them, and
a task reads what was typed as attributes that a type checker follows. Imports nothing heavy, since
`dlcv --help` lists every option.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class OptionInfo:
    """What the command line knows of an option beyond its name and type.

    Attributes:
        help: what the value is.
        panel: heading in the help.
        setting: dotted key of the setting that it fills; None where it fills none.
        default: what the help says of the default, which stands elsewhere.
        names: as typed; empty for `--the-field`.
        least, most: bounds of a number.
        metavar: what the help calls the value.
        complete: returns the values that begin with a text.
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


def option(
    text: str,
    *names: str,
    panel: str | None = None,
    setting: str | None = None,
    default: str | None = None,
    least: float | None = None,
    most: float | None = None,
    metavar: str | None = None,
    complete: Callable[[str], list[str]] | None = None,
) -> Any:
    """Return the field of an option that is None unless it is typed; see `OptionInfo`."""
    info = OptionInfo(text, panel, setting, default, names, least, most, metavar, complete)
    return field(default=None, metadata={"option": info})


@dataclass(frozen=True)
class Options:
    """Base of the options of a command; a value that was not typed is None."""

    def typed(self) -> dict[str, Any]:
        """Return field -> value of the options that were typed."""
        return {k: v for k, v in vars(self).items() if v is not None and v != []}

    def settings(self) -> dict[str, Any]:
        """Return dotted key -> value of the settings that the typed options fill."""
        found = {}
        for one in fields(self):
            info = info_of(one)
            value = getattr(self, one.name)
            if info.setting is not None and value is not None and value != []:
                found[info.setting] = value
        return found

    def as_words(self) -> list[str]:
        """Return the typed options as they would be typed again."""
        words: list[str] = []
        for one in fields(self):
            names = names_of(one)
            value = getattr(self, one.name)
            if isinstance(value, bool):
                # `--rotations/--no-rotations`: the second one switches it off.
                words.append(names[0].split("/")[0 if value else -1])
            elif isinstance(value, list):
                words += [word for each in value for word in (names[0], str(each))]
            elif value is not None:
                words += [names[0], str(value)]
        return words


@dataclass(frozen=True)
class ModelOptions(Options):
    """Base of the options with which a trained model is run."""

    @property
    def graph(self) -> str | None:
        """The switch of `dlcv export` that makes the ONNX file these options need, if any."""
        return None


@dataclass(frozen=True)
class ExportOptions(Options):
    """Base of the options of `dlcv export`."""

    @property
    def stem(self) -> str:
        """The name of the file, without its suffix, unless --out gives one."""
        return "model"


def info_of(one: Field[Any]) -> OptionInfo:
    """Return what a field of an `Options` class says of its option."""
    info: OptionInfo = one.metadata["option"]
    return info


def names_of(one: Field[Any]) -> tuple[str, ...]:
    """Return how an option is typed, e.g. ``("--n-way",)``."""
    return info_of(one).names or (f"--{one.name.replace('_', '-')}",)


def options_of(
    tables: Mapping[str, type[Options]],
) -> dict[str, tuple[Field[Any], tuple[str, ...]]]:
    """Return name -> (option, the tasks that have it), over the options of several tasks.

    Args:
        tables: task -> its options.
    """
    found: dict[str, tuple[Field[Any], tuple[str, ...]]] = {}
    for task, table in tables.items():
        for one in fields(table):
            first, owners = found.get(one.name, (one, ()))
            found[one.name] = (first, (*owners, task))
    return found
