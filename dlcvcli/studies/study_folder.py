"""A study's folder: where its files lie, what it was begun with, and what may not change since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dlcvcli.config.load import differences, validate
from dlcvcli.config.schema import RESUMABLE_CHANGES
from dlcvcli.config.values import Count, Settings
from dlcvcli.errors import ConfigError, DataError, UsageError
from dlcvcli.files import make_folder, write_atomically
from dlcvcli.runs import RunFolder
from dlcvcli.studies.definition import StudyDefinition
from dlcvcli.studies.kinds import StudySettings
from dlcvcli.yaml_reader import MAX_BYTES, read_yaml, require_mapping, to_yaml

_MARK = ".dlcv-study"
# Of a record: a run takes about 2 KB of it.
_LARGEST = 64 * MAX_BYTES

State = Literal["finished", "unfinished", "not begun"]


class StudyRecord(Settings):
    """What a study was begun with: the first thing written into its folder.

    Attributes:
        definition: the study.
        sets: the user's `--set` texts.
        settings: run -> its settings, before what depends on the data was filled in.
        data: the data folder, absolute.
        classes: its class set, as plain types; empty where classes are no class set's.
        seeds: how many, from 0.
    """

    definition: StudyDefinition
    sets: tuple[str, ...]
    settings: dict[str, StudySettings]
    data: str
    classes: dict[str, Any]
    seeds: Count


@dataclass(frozen=True)
class StudyFolder:
    """The files of one study; nothing is made by naming them."""

    path: Path

    @property
    def record(self) -> Path:
        """What the study was begun with."""
        return self.path / "study.yaml"

    @property
    def data(self) -> Path:
        """The set that a study makes for itself."""
        return self.path / "data"

    @property
    def results(self) -> Path:
        """All that was measured."""
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
    def figures(self) -> Path:
        """The folder of figures."""
        return self.path / "figures"

    @property
    def page(self) -> Path:
        """The report page."""
        return self.path / "index.html"

    def run(self, name: str, seed: int) -> RunFolder:
        """Return the folder of a run with one seed."""
        return RunFolder(self.path / "runs" / name / f"seed-{seed}")

    def begin(self) -> None:
        """Make the folder; one that a study was begun in is used as it is.

        Raises:
            UsageError: it, or one above it, is a file, or it holds something else.
        """
        make_folder(self.path)
        if not (self.path / _MARK).is_file() and any(self.path.iterdir()):
            raise UsageError(
                f"{self.path} is not empty and no study was begun in it", "choose another --out"
            )
        (self.path / _MARK).touch()

    def read(self) -> StudyRecord:
        """Return what the study was begun with.

        Raises:
            DataError: the folder does not exist, or no study was begun in it.
            ConfigError: its record does not fit; names the key.
        """
        if not self.path.exists():
            raise DataError(f"study folder {self.path} does not exist")
        if not self.record.is_file():
            raise DataError(
                f"{self.path} is not a study's folder: it holds no {self.record.name}",
                "give the folder that `dlcv study run` wrote (its --out)",
            )
        tree = require_mapping(read_yaml(self.record, "", limit=_LARGEST), str(self.record))
        return validate(StudyRecord, tree, {"": str(self.record)})

    def write(self, record: StudyRecord) -> None:
        """Write down what the study is begun with."""
        write_atomically(self.record, to_yaml(record.model_dump(mode="json")))


def state_of(run: RunFolder) -> State:
    """Return how far a run has come."""
    if read_results(run) is not None:
        return "finished"
    return "unfinished" if run.holds_run else "not begun"


def read_results(run: RunFolder) -> dict[str, Any] | None:
    """Return the outcome of a run; None for one that is not finished."""
    if not run.results.is_file():
        return None
    results: dict[str, Any] = json.loads(run.results.read_text(encoding="utf-8"))
    return results if results["finished"] and "metrics" in results else None


def require_same_study(
    folder: StudyFolder,
    record: StudyRecord,
    definition: StudyDefinition,
    settings: Mapping[str, StudySettings],
) -> None:
    """Refuse to go on with a study whose numbers would not be of one kind.

    Words, reported figures and what to draw may have changed, and so may what changes no number
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
    begun = {run.name: run.init for run in record.definition.runs}
    changed += [
        f"{run.name}: init: {begun[run.name]} -> {run.init}"
        for run in definition.runs
        if run.init != begun.get(run.name, run.init)
    ]
    if changed:
        raise ConfigError(
            f"the study in {folder.path} was begun with other settings ({'; '.join(changed)})",
            "go on without these changes, or choose another --out",
        )


def changed_settings(
    before: Mapping[str, StudySettings], after: Mapping[str, StudySettings]
) -> list[str]:
    """Return what differs between two studies' runs, a line each; what all share is said once."""
    lines = [f"run {name}: removed" for name in before if name not in after]
    lines += [f"run {name}: new" for name in after if name not in before]
    common = [name for name in before if name in after]
    found: dict[str, list[str]] = {}
    for name in common:
        for key, (old, new) in differences(before[name], after[name]).items():
            if key not in RESUMABLE_CHANGES and not key.startswith("snapshot."):
                found.setdefault(f"{key}: {old} -> {new}", []).append(name)
    for change, names in found.items():
        lines.append(change if names == common else f"{', '.join(names)}: {change}")
    return lines
