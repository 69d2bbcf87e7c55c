"""The folder of a study: its files, what it was started with, and what may not change since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, SerializeAsAny

from dlcvcli.config.load import differences, validate
from dlcvcli.config.schema import RESUMABLE_CHANGES, RunSettings
from dlcvcli.config.values import Count, Settings
from dlcvcli.errors import ConfigError, DataError, UsageError
from dlcvcli.files import make_folder, write_atomically
from dlcvcli.runs import RunFolder
from dlcvcli.studies.definition import StudyDefinition, read_definition
from dlcvcli.studies.given import GivenPath
from dlcvcli.studies.vary import STARTS
from dlcvcli.tasks.registry import task_named
from dlcvcli.yaml_reader import MAX_BYTES, read_yaml, require_mapping, to_yaml

_MARK = ".dlcv-study"
# A run takes about 2 KB of the record.
_LARGEST = 64 * MAX_BYTES


class StudyRecord(Settings):
    """What a study was started with: the first thing written into its folder.

    Attributes:
        definition: the study.
        sets: the user's `--set` texts.
        settings: run -> its settings, before what depends on the data was filled in.
        data: the data folder, absolute.
        seeds: their number, from 0.
        given: name -> what the user gave beside it.
    """

    definition: StudyDefinition
    sets: tuple[str, ...]
    settings: dict[str, SerializeAsAny[RunSettings]]
    data: str
    seeds: Count
    given: dict[str, GivenPath] = Field(default_factory=dict)

    @property
    def paths(self) -> dict[str, Path]:
        """Name -> path of what the user gave."""
        return {name: Path(one.path) for name, one in self.given.items()}


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study; nothing is created by naming them."""

    path: Path

    @property
    def record(self) -> Path:
        """What the study was started with."""
        return self.path / "study.yaml"

    @property
    def data(self) -> Path:
        """The synthetic set that a study makes for itself."""
        return self.path / "data"

    @property
    def results(self) -> Path:
        """All measured values."""
        return self.path / "results.json"

    @property
    def csv(self) -> Path:
        """The table, for programs."""
        return self.path / "table.csv"

    @property
    def markdown(self) -> Path:
        """The table, for people."""
        return self.path / "table.md"

    @property
    def latex(self) -> Path:
        """The tables, for papers."""
        return self.path / "table.tex"

    @property
    def figures(self) -> Path:
        """The folder of figures."""
        return self.path / "figures"

    @property
    def page(self) -> Path:
        """The report page."""
        return self.path / "index.html"

    def run_data(self, name: str) -> Path:
        """Return the folder of a synthetic set that a run has of its own."""
        return self.path / "runs" / name / "data"

    def run(self, name: str, seed: int) -> RunFolder:
        """Return the folder of a run with one seed."""
        return RunFolder(self.path / "runs" / name / f"seed-{seed}")

    def begin(self) -> None:
        """Create the folder; one in which a study was started is used as it is.

        Raises:
            UsageError: it or a folder above it is a file, or it holds something else.
        """
        make_folder(self.path)
        if not (self.path / _MARK).is_file() and any(self.path.iterdir()):
            raise UsageError(
                f"{self.path} is not empty and no study was started in it", "choose another --out"
            )
        (self.path / _MARK).touch()

    def read(self) -> StudyRecord:
        """Return what the study was started with.

        Raises:
            DataError: the folder does not exist, or no study was started in it.
            ConfigError: its record does not fit; names the key.
        """
        if not self.path.exists():
            raise DataError(f"study folder {self.path} does not exist")
        if not self.record.is_file():
            raise DataError(
                f"{self.path} is not a study's folder: it holds no {self.record.name}",
                "give the folder that `dlcv study run` wrote (its --out)",
            )
        source = str(self.record)
        tree = require_mapping(read_yaml(self.record, "", limit=_LARGEST), source)
        # Written by earlier versions; a run's environment.json has them.
        tree.pop("classes", None)
        if "definition" in tree:
            tree["definition"] = read_definition(tree["definition"], source)
        if isinstance(tree.get("settings"), dict):
            tree["settings"] = {
                name: _settings(value, f"{source}, settings of run '{name}'")
                for name, value in tree["settings"].items()
            }
        return validate(StudyRecord, tree, {"": source})

    def write(self, record: StudyRecord) -> None:
        """Write what the study is started with."""
        write_atomically(self.record, to_yaml(record.model_dump(mode="json")))


def _settings(value: Any, source: str) -> RunSettings:
    tree = require_mapping(value, source)
    return validate(task_named(str(tree.get("task"))).settings(), tree, {"": source})


def require_same_study(
    folder: StudyFolder,
    record: StudyRecord,
    definition: StudyDefinition,
    settings: Mapping[str, RunSettings],
) -> None:
    """Refuse to continue a study whose runs would not compare.

    Texts, reported values and figures may have changed, and so may what changes no number
    (`config.schema.RESUMABLE_CHANGES`, snapshots).

    Raises:
        ConfigError: it is another study, or its settings differ; lists the keys with both values.
    """
    if record.definition.name != definition.name:
        raise ConfigError(
            f"{folder.path} holds the study '{record.definition.name}', not '{definition.name}'",
            "choose another --out",
        )
    changed = changed_settings(record.settings, settings)
    started = {run.name: run for run in record.definition.runs}
    changed += [
        f"{run.name}: {key}: {getattr(started[run.name], key)} -> {getattr(run, key)}"
        for run in definition.runs
        for key in (*STARTS, "data")
        if run.name in started and getattr(run, key) != getattr(started[run.name], key)
    ]
    if changed:
        raise ConfigError(
            f"the study in {folder.path} was started with other settings ({'; '.join(changed)})",
            "continue without these changes, or choose another --out",
        )


def changed_settings(
    before: Mapping[str, RunSettings], after: Mapping[str, RunSettings]
) -> list[str]:
    """Return what differs between the runs of two studies, a line for each difference."""
    lines = [f"run {name}: removed" for name in before if name not in after]
    lines += [f"run {name}: new" for name in after if name not in before]
    common = [name for name in before if name in after]
    changes: dict[str, list[str]] = {}
    for name in common:
        for key, (old, new) in differences(before[name], after[name]).items():
            if key not in RESUMABLE_CHANGES and not key.startswith("snapshot."):
                changes.setdefault(f"{key}: {old} -> {new}", []).append(name)
    for change, names in changes.items():
        lines.append(change if names == common else f"{', '.join(names)}: {change}")
    return lines
