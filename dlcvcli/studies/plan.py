"""What a study is going to run: its settings, its seeds and the command line of each run.

Needs no torch.
"""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dlcvcli.config.load import differences, parse_set
from dlcvcli.errors import ConfigError, UsageError, nearest
from dlcvcli.runs import RunFolder
from dlcvcli.studies.definition import Reported, StudyDefinition, StudyRun, run_settings
from dlcvcli.studies.kinds import StudySettings, TaskName
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.studies.text_table import Table

_LENGTHS = {"train.epochs": "train.steps", "train.steps": "train.epochs"}


@dataclass(frozen=True)
class PlannedRun:
    """One training: a run of the definition with one seed.

    Attributes:
        task: as in `dlcv train TASK`.
        run: of the definition.
        seed: its seed.
        folder: where it goes.
        init: the run whose weights it begins from; None for none.
    """

    task: TaskName
    run: StudyRun
    seed: int
    folder: RunFolder
    init: RunFolder | None = None

    @property
    def title(self) -> str:
        """What progress lines call it."""
        return f"{self.run.name} seed {self.seed}"


def planned_runs(
    definition: StudyDefinition, folder: StudyFolder, seeds: int, only: Sequence[str] = ()
) -> list[PlannedRun]:
    """Return the trainings of a study: every run with seed 0, then every run with seed 1, ...

    So a study that is broken off has compared its runs with the seeds that are done.

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
    return [
        PlannedRun(
            definition.task,
            run,
            seed,
            folder.run(run.name, seed),
            None if run.init is None else folder.run(run.init, seed),
        )
        for seed in range(seeds)
        for run in definition.runs
        if not only or run.name in only
    ]


def study_settings(definition: StudyDefinition, sets: Sequence[str]) -> dict[str, StudySettings]:
    """Return run -> settings, with the user's `--set` texts over the definition's.

    Raises:
        UsageError: a `--set` does not fit, or sets what the study sets itself.
    """
    own = {"train.seed": "--seeds", "data.path": "--data", "train.devices": "--devices"}
    for text in sets:
        key, _ = parse_set(text)
        if key in own:
            raise UsageError(f"--set {text}: a study sets that itself", f"see {own[key]}")
    return {run.name: run_settings(run, tuple(sets), definition.task) for run in definition.runs}


def key_settings(definition: StudyDefinition, settings: Mapping[str, StudySettings]) -> Table:
    """Return a column a run: its recipe, what was reported, and its settings off the defaults."""
    defaults = definition.kind.schema()
    changed = {name: differences(defaults, one) for name, one in settings.items()}
    keys = sorted({key for found in changed.values() for key in found} - {"recipe"})
    rows = [("label", *(run.label for run in definition.runs))]
    if any(run.recipe for run in definition.runs):
        rows.append(("recipe", *(run.recipe or "–" for run in definition.runs)))
    if any(run.init for run in definition.runs):
        rows.append(("begins from", *(run.init or "–" for run in definition.runs)))
    for name in Reported.model_fields:
        told = [getattr(run.reported, name) for run in definition.runs]
        if any(told):
            rows.append((f"reported {name}", *("–" if one is None else str(one) for one in told)))
    rows += [
        (key, *(value_at(settings[run.name], key) for run in definition.runs))
        for key in keys
        # An empty set of options and a filled one differ in the whole of it, too.
        if not any(other.startswith(f"{key}.") for other in keys)
    ]
    columns = ("", *(run.name for run in definition.runs))
    return Table("", columns, tuple(rows), words=len(columns))


def value_at(settings: StudySettings, key: str) -> str:
    """Return the value at a dotted key as text; a dash for one that is not set."""
    value: Any = settings.model_dump(mode="json")
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value)


def train_arguments(
    planned: PlannedRun,
    *,
    data: Path | str,
    sets: Sequence[str] = (),
    images: Sequence[str] = (),
    devices: int | None = None,
) -> list[str]:
    """Return what follows `dlcv` on the command line that trains a run from its beginning.

    Args:
        planned: the run.
        data: the data folder.
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
    words += [] if planned.init is None else ["--init", str(planned.init.path)]
    return [
        *("train", planned.task, *recipe, "--data", str(data), "--seed", str(planned.seed)),
        *(*words, "--out", str(planned.folder.path)),
    ]


def command_line(arguments: Iterable[str]) -> str:
    """Return a command line of dlcv that can be pasted into a shell."""
    return shlex.join(["dlcv", *arguments])


def _own_sets(settings: Mapping[str, Any], over: Sequence[str]) -> list[str]:
    """Return the definition's settings as `--set` texts, without those that the user's replace."""
    given = dict(parse_set(text) for text in over)
    keys = {
        key
        for name, value in given.items()
        for key, _ in (_leaves(value, f"{name}.") if isinstance(value, dict) else [(name, None)])
    }
    replaced = keys | {_LENGTHS[key] for key in keys & _LENGTHS.keys()}
    return [
        f"{key}={_as_yaml(value)}" for key, value in _leaves(settings, "") if key not in replaced
    ]


def _leaves(tree: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in tree.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            found += _leaves(value, f"{dotted}.")
        else:
            found.append((dotted, value))
    return found


def _as_yaml(value: Any) -> str:
    """Return a value as `--set` reads it back."""
    if not isinstance(value, str):
        return json.dumps(value)
    with contextlib.suppress(ConfigError):
        if parse_set(f"x={value}")[1] == value:
            return value
    return _quoted(value)


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style='"', width=10**6).strip()
