"""What a study trains: settings, seeds and the command line of each run.

Needs no torch.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from dlcvcli.config.load import differences, parse_set
from dlcvcli.config.schema import RunSettings
from dlcvcli.errors import ConfigError, UsageError, nearest
from dlcvcli.outcomes.cells import NONE
from dlcvcli.outcomes.spec import SyntheticSet, reported_keys
from dlcvcli.outcomes.table import Table
from dlcvcli.runs import RunFolder
from dlcvcli.studies.definition import StudyDefinition, StudyRun, given_name, run_settings
from dlcvcli.studies.given import Paths, left_out
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.tasks.registry import TASKS

S = TypeVar("S", bound=RunSettings)

_LENGTHS = {"train.epochs": "train.steps", "train.steps": "train.epochs"}


@dataclass(frozen=True)
class PlannedRun:
    """One training: a run of the definition with one seed.

    Attributes:
        run: of the definition.
        seed: its seed.
        folder: its run folder.
        data: its own data folder; None for that of the study.
        starts: flag of `dlcv train` -> the run folder or checkpoint that it takes weights from.
        earlier: name of a run among these -> its folder.
    """

    run: StudyRun
    seed: int
    folder: RunFolder
    data: Path | None = None
    starts: Mapping[str, Path] = field(default_factory=dict)
    earlier: Mapping[str, RunFolder] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name in progress lines."""
        return f"{self.run.name} seed {self.seed}"


def planned_runs(
    definition: StudyDefinition,
    folder: StudyFolder,
    seeds: int,
    only: Sequence[str] = (),
    given: Paths | None = None,
) -> list[PlannedRun]:
    """Return the trainings of a study: every run with seed 0, then every run with seed 1, ...

    So a study that is stopped has compared its runs with the seeds that are done.

    Args:
        definition: the study.
        folder: its folder.
        seeds: their number.
        only: names of runs; empty for all.
        given: what the user gave; runs that need more, or that it replaces, are left out.

    Raises:
        UsageError: `only` names a run that the study does not have.
    """
    names = [run.name for run in definition.runs]
    for name in only:
        if name not in names:
            raise UsageError(
                f"--only {name}: the study '{definition.name}' has no such run",
                nearest(name, names),
            )
    given = given or {}
    out = left_out(definition, given)
    return [
        _planned(definition, folder, run, seed, given)
        for seed in range(seeds)
        for run in definition.runs
        if run.name not in out and (not only or run.name in only)
    ]


def _planned(
    definition: StudyDefinition, folder: StudyFolder, run: StudyRun, seed: int, given: Paths
) -> PlannedRun:
    sources = {flag: source.removeprefix("given:") for flag, source in run.starts.items()}
    earlier = {name: folder.run(name, seed) for name in sources.values() if name not in given}
    starts = {
        flag: given[name] if name in given else earlier[name].path for flag, name in sources.items()
    }
    own = own_data(definition, folder, run, given)
    return PlannedRun(run, seed, folder.run(run.name, seed), own, starts, earlier)


def own_data(
    definition: StudyDefinition, folder: StudyFolder, run: StudyRun, given: Paths
) -> Path | None:
    """Return the data folder of a run that does not use the study's; None for one that does.

    Runs with equal synthetic sets share the folder of the first of them.
    """
    name = given_name(run.data)
    if name is not None:
        return given[name]
    if run.data is None or isinstance(run.data, str):
        return None if run.data is None else Path(run.data)
    first = next(one for one in definition.runs if one.data == run.data)
    return folder.run_data(first.name)


def placed(settings: S, data: Path | str, seed: int) -> S:
    """Return the settings of a training: on this data, with this seed."""
    tree = settings.model_dump()
    tree["data"]["path"], tree["train"]["seed"] = str(data), seed
    return type(settings).model_validate(tree)


def study_settings(definition: StudyDefinition, sets: Sequence[str]) -> dict[str, RunSettings]:
    """Return run -> settings, with the user's `--set` texts over the definition's.

    Raises:
        UsageError: a `--set` does not fit, or sets what the study sets itself.
    """
    own = {"train.seed": "--seeds", "data.path": "--data", "train.devices": "--devices"}
    for text in sets:
        key, _ = parse_set(text)
        if key in own:
            raise UsageError(f"--set {text}: a study sets that itself", f"see {own[key]}")
    return {run.name: run_settings(run, tuple(sets)) for run in definition.runs}


def key_settings(definition: StudyDefinition, settings: Mapping[str, RunSettings]) -> Table:
    """Return a column a run: its recipe, what was reported, and its settings off the defaults."""
    runs = definition.runs
    changed = {
        name: differences(TASKS[one.task].settings().model_validate({}), one)
        for name, one in settings.items()
    }
    keys = sorted({key for one in changed.values() for key in one} - {"recipe"})
    facts: dict[str, list[Any]] = {"label": [run.label for run in runs]}
    if len({run.task for run in runs}) > 1:
        facts["task"] = [run.task for run in runs]
    facts["recipe"] = [run.recipe for run in runs]
    facts |= origins(runs)
    scores = dict.fromkeys(key for run in runs for key in reported_keys(TASKS[run.task].scores))
    for key in scores:
        facts[f"reported {key}"] = [run.reported.scores.get(key) for run in runs]
    facts["reported when"] = [run.reported.when or None for run in runs]
    rows = [
        (name, *(NONE if value is None else str(value) for value in values))
        for name, values in facts.items()
        if any(value is not None for value in values)
    ]
    rows += [
        (key, *(value_at(settings[run.name], key) for run in runs))
        for key in keys
        # An empty mapping of options and a filled one differ as a whole, too.
        if not any(other.startswith(f"{key}.") for other in keys)
    ]
    columns = ("", *(run.name for run in runs))
    return Table("", columns, tuple(rows), words=len(columns))


def origins(runs: Sequence[StudyRun]) -> dict[str, list[str | None]]:
    """Return what runs start from and are trained on, a value a run, where any has its own."""
    values = {
        "starts from": [run.init for run in runs],
        "backbone from": [run.backbone for run in runs],
        "supervised backbone from": [run.supervised_backbone for run in runs],
        "data": [
            run.data.describe() if isinstance(run.data, SyntheticSet) else run.data for run in runs
        ],
    }
    return {name: each for name, each in values.items() if any(each)}


def value_at(settings: RunSettings, key: str) -> str:
    """Return the value at a dotted key as text; a dash for one that is not set."""
    value = plain_value(settings, key)
    if value is None:
        return NONE
    return value if isinstance(value, str) else json.dumps(value)


def plain_value(settings: RunSettings, key: str) -> Any:
    """Return the value at a dotted key as a plain type; None for one that is not set."""
    value: Any = settings.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def train_arguments(
    planned: PlannedRun,
    *,
    data: Path | str,
    sets: Sequence[str] = (),
    images: Sequence[str] = (),
    devices: int | None = None,
) -> list[str]:
    """Return the arguments of `dlcv` that train a run from its beginning.

    Args:
        planned: the run.
        data: the data folder of the study.
        sets: the user's `--set` texts, which replace the definition's.
        images: names for `--snapshot`.
        devices: ranks; None for the default.
    """
    run = planned.run
    recipe = [] if run.recipe is None else ["--recipe", run.recipe]
    words = [word for text in _own_sets(run.settings, sets) for word in ("--set", text)]
    words += [word for text in sets for word in ("--set", text)]
    words += [word for name in images for word in ("--snapshot", name)]
    words += [] if devices is None else ["--devices", str(devices)]
    for flag, weights in planned.starts.items():
        words += [f"--{flag.replace('_', '-')}", str(weights)]
    folder = str(planned.data or data)
    return [
        *("train", run.task, *recipe, "--data", folder, "--seed", str(planned.seed)),
        *(*words, "--out", str(planned.folder.path)),
    ]


def command_line(arguments: Iterable[str]) -> str:
    """Return a command line of dlcv that can be pasted into a shell."""
    return shlex.join(["dlcv", *arguments])


def _own_sets(settings: Mapping[str, Any], over: Sequence[str]) -> list[str]:
    """Return a definition's settings as `--set` texts, without those that the user's replace."""
    typed = dict(parse_set(text) for text in over)
    keys = {
        key
        for name, value in typed.items()
        for key, _ in (_leaves(value, f"{name}.") if isinstance(value, dict) else [(name, None)])
    }
    replaced = keys | {_LENGTHS[key] for key in keys & _LENGTHS.keys()}
    return [
        f"{key}={_as_yaml(value)}" for key, value in _leaves(settings, "") if key not in replaced
    ]


def _leaves(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            leaves += _leaves(value, f"{dotted}.")
        else:
            leaves.append((dotted, value))
    return leaves


def _as_yaml(value: Any) -> str:
    """Return a value as `--set` reads it."""
    if not isinstance(value, str):
        return json.dumps(value)
    with contextlib.suppress(ConfigError):
        if parse_set(f"x={value}")[1] == value:
            return value
    return _quoted(value)


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style='"', width=10**6).strip()
