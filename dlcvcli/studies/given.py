"""What the user gives to a study beside its data: `--given NAME=PATH`. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dlcvcli.config.values import Settings
from dlcvcli.errors import ConfigError, UsageError, nearest, shorten
from dlcvcli.files import sha256_of
from dlcvcli.runs import find_model
from dlcvcli.studies.definition import StudyDefinition, given_name

Paths = Mapping[str, Path]


class GivenPath(Settings):
    """What was given under a name.

    Attributes:
        path: absolute.
        sha256: of the weights; None for a data folder.
    """

    path: str
    sha256: str | None = None


def parse_given(texts: Sequence[str], definition: StudyDefinition) -> dict[str, Path]:
    """Return name -> absolute path of `NAME=PATH` texts.

    A name is an entry of the definition's `given`, or a run that others start from: the weights at
    the path are then used in its place.

    Raises:
        UsageError: another form, an unknown name, or a path that does not exist.
        DataError: a folder that should hold weights is not a run folder.
    """
    replaced = {name for run in definition.runs for name in run.starts.values()}
    names = [*definition.given, *(run.name for run in definition.runs if run.name in replaced)]
    folders, given = _data_names(definition), {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not path:
            raise UsageError(f"--given {shorten(text)}: expected NAME=PATH", _known(names))
        if name not in names:
            raise UsageError(
                f"--given {shorten(text)}: the study '{definition.name}' takes nothing called "
                f"'{name}'",
                nearest(name, names) if names else "it takes nothing but --data",
            )
        # A shell expands ~ at the beginning of a word only.
        given[name] = Path(path).expanduser().resolve()
        if not given[name].exists():
            raise UsageError(f"--given {shorten(text)}: {path} does not exist")
        if given[name].is_dir() and name not in folders:
            find_model(given[name])
    return given


def missing(definition: StudyDefinition, given: Iterable[str]) -> dict[str, str]:
    """Return run -> the first entry of `given` that it needs and that the user did not give.

    A run needs what the runs need that it starts from, unless weights are given in their place.

    Args:
        definition: the study.
        given: names that the user gave.
    """
    names = set(given)
    needed: dict[str, str] = {}
    for run in definition.runs:
        own = [name for name in run.given if name not in names]
        earlier = [needed[name] for name in run.starts.values() if name in needed.keys() - names]
        if own or earlier:
            needed[run.name] = (own or earlier)[0]
    return {name: need for name, need in needed.items() if name not in names}


def left_out(definition: StudyDefinition, given: Paths) -> dict[str, str]:
    """Return run -> why it is not trained: something is missing, or given in its place."""
    reasons = {
        name: f"left out, as it needs {need} ({definition.given[need].what}): add "
        f"--given {need}=PATH"
        for name, need in missing(definition, given).items()
    }
    in_place = {run.name: given[run.name] for run in definition.runs if run.name in given}
    return reasons | {
        name: f"not trained, as {path} was given in its place" for name, path in in_place.items()
    }


def require_given(definition: StudyDefinition, given: Paths, only: Sequence[str]) -> None:
    """Refuse a study without what its runs need, unless it is optional.

    Args:
        definition: the study.
        given: what the user gave.
        only: runs to train; empty for all. For a run that is named here, nothing is optional.

    Raises:
        UsageError: names what is missing, and how to give it.
    """
    for name, need in missing(definition, given).items():
        if name in only if only else not definition.given[need].optional:
            raise UsageError(
                f"run '{name}' needs {need}: {definition.given[need].what}",
                _how_to_give(definition, need),
            )
    for name in only:
        if name in given:
            raise UsageError(
                f"--only {name}: {given[name]} was given in its place",
                "leave one of the two out",
            )


def with_digests(
    definition: StudyDefinition, given: Paths, before: Mapping[str, GivenPath]
) -> dict[str, GivenPath]:
    """Return what a study's record keeps of given paths.

    Args:
        definition: the study.
        given: name -> path.
        before: the record of an earlier session; a run that was started then needs its weights no
            longer, so they may be gone.
    """
    folders, record = _data_names(definition), {}
    for name, path in given.items():
        known = before.get(name)
        if known is not None and known.path == str(path) and not path.exists():
            record[name] = known
        else:
            digest = None if name in folders else _digest(path)
            record[name] = GivenPath(path=str(path), sha256=digest)
    return record


def require_same_weights(
    definition: StudyDefinition,
    before: Mapping[str, GivenPath],
    after: Mapping[str, GivenPath],
    started: Iterable[str],
) -> None:
    """Refuse other weights than those that a run was started with.

    Args:
        definition: the study.
        before: name -> what was given when the study was last started.
        after: the same now.
        started: runs that were started.

    Raises:
        ConfigError: names the weights and the run.
    """
    sources = {run.name: run.starts.values() for run in definition.runs}
    for run in started:
        for source in sources.get(run, ()):
            name = source.removeprefix("given:")
            old, new = before.get(name), after.get(name)
            if new is not None and (old is None or old.sha256 != new.sha256):
                was = f"run '{name}'" if old is None else f"other weights ({old.path})"
                raise ConfigError(
                    f"run '{run}' was started from {was}, not from {new.path}",
                    "give the same weights again, or choose another --out",
                )


def _data_names(definition: StudyDefinition) -> set[str | None]:
    """Return the names of what is given as data; everything else is weights."""
    return {given_name(run.data) for run in definition.runs}


def _digest(weights: Path) -> str:
    return sha256_of(find_model(weights).path if weights.is_dir() else weights)


def _how_to_give(definition: StudyDefinition, need: str) -> str:
    in_place = [run.name for run in definition.runs if run.pretraining and need in run.given]
    other = f", or its weights with --given {in_place[0]}=CHECKPOINT" if in_place else ""
    return f"give it with --given {need}=PATH{other}"


def _known(names: Sequence[str]) -> str:
    return f"names are {', '.join(names)}" if names else "this study takes nothing but --data"
