"""The results of a study: its runs over their seeds, a comparison for each task.

Reads the folders of the runs, finished or not. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from dlcvcli.config.schema import RunSettings
from dlcvcli.outcomes.ranking import rank_runs
from dlcvcli.outcomes.runs import Comparison, RunOutcome, SeedOutcome, read_seed
from dlcvcli.outcomes.spec import StudySpec, reported_keys
from dlcvcli.outcomes.spread import spread
from dlcvcli.studies.definition import IMAGES, StudyRun, study_spec
from dlcvcli.studies.given import left_out
from dlcvcli.studies.plan import plain_value
from dlcvcli.studies.study_folder import StudyFolder, StudyRecord
from dlcvcli.tasks.registry import TASKS


@dataclass(frozen=True)
class TaskOutcome:
    """The runs of one task that are compared, or its runs for pre-training.

    Attributes:
        task: its name.
        comparison: of the runs, in the definition's order.
        pretraining: whether the runs are trained only so that others start from them.
    """

    task: str
    comparison: Comparison
    pretraining: bool = False

    @property
    def name(self) -> str:
        """Its name in results.json, table.csv and the folder of figures."""
        return f"{self.task}-pretraining" if self.pretraining else self.task

    @property
    def spec(self) -> StudySpec:
        """What studies of the task are like."""
        return study_spec(self.task)


@dataclass(frozen=True)
class StudyOutcome:
    """All runs of a study.

    Attributes:
        folder: of the study.
        record: what it was started with.
        groups: one for each task, in the definition's order; then those for pre-training.
    """

    folder: StudyFolder
    record: StudyRecord
    groups: tuple[TaskOutcome, ...]

    @property
    def runs(self) -> tuple[RunOutcome, ...]:
        """All runs, group after group."""
        return tuple(run for group in self.groups for run in group.comparison.runs)

    @property
    def unfinished(self) -> list[SeedOutcome]:
        """The trainings that are not finished."""
        return [one for group in self.groups for one in group.comparison.unfinished]

    def relative(self, one: SeedOutcome) -> str:
        """Return the folder of a training within that of the study."""
        return one.folder.path.relative_to(self.folder.path).as_posix()

    def as_dict(self) -> dict[str, Any]:
        """Return the content of results.json as plain types."""
        first = self.groups[0]
        several, given = len(self.groups) > 1, self.record.paths
        return {
            "study": self.record.definition.name,
            "task": first.task,
            "data": self.record.data,
            **({"given": {name: str(path) for name, path in given.items()}} if given else {}),
            "seeds": self.record.seeds,
            "finished": not self.unfinished,
            "unfinished": [
                {"folder": self.relative(one), "state": one.state, "step": one.step}
                for one in self.unfinished
            ],
            "rule": first.spec.rule,
            "best": _best(first),
            "ranking": _ranking(first),
            **({"tasks": {one.name: _facts(one) for one in self.groups}} if several else {}),
            "runs": [
                self._run_as_dict(group, run)
                for group in self.groups
                for run in group.comparison.runs
            ],
            "remarks": [line for group in self.groups for line in group.comparison.remarks()],
        }

    def _run_as_dict(self, group: TaskOutcome, run: RunOutcome) -> dict[str, Any]:
        comparison, spec = group.comparison, group.spec
        keys = [score.key for score in comparison.scores]
        reported = {key: run.reported.get(key) for key in reported_keys(comparison.scores)}
        differences = comparison.difference(run)
        return {
            "name": run.name,
            "label": run.label,
            "model": run.model,
            "parameters": run.parameters,
            **({"left_out": run.left_out} if run.left_out else {}),
            **({"line": run.line, "place": run.place} if run.line else {}),
            "reported": {**reported, "when": run.when},
            "measured": {key: run.over_seeds(key).as_dict() for key in keys},
            **spec.results(comparison, run),
            "images_per_s": run.images_per_s,
            "peak_memory_mb": run.peak_memory_mb,
            "to_first": None
            if run is comparison.first_beside(run)
            else {
                **spread(list(differences.values())).as_dict(),
                "by_seed": {str(seed): value for seed, value in differences.items()},
            },
            "by_seed": [
                {
                    "seed": one.seed,
                    "folder": self.relative(one),
                    "state": one.state,
                    "best": one.results and one.results["best"],
                    **{
                        key: one.results and one.results["metrics"].get(key)
                        for key in (*keys, *spec.by_seed)
                    },
                }
                for one in run.seeds
            ],
        }


def _best(group: TaskOutcome) -> str | None:
    best = group.comparison.best
    return None if best is None else best.name


def _ranking(group: TaskOutcome) -> list[dict[str, Any]]:
    return [one.as_dict() for one in rank_runs(group.comparison)]


def _facts(group: TaskOutcome) -> dict[str, Any]:
    """Return what results.json has of a task where a study has several."""
    names = [run.name for run in group.comparison.runs]
    facts = {"rule": group.spec.rule, "best": _best(group), "ranking": _ranking(group)}
    return {**facts, "runs": names}


def read_outcome(folder: StudyFolder) -> StudyOutcome:
    """Read the folder of a study.

    Raises:
        DataError: it is not one.
        ConfigError: its record does not fit.
    """
    record = folder.read()
    kinds = dict.fromkeys((run.task, run.pretraining) for run in record.definition.runs)
    # The compared runs come first: results.json names the best run of the first group.
    groups = (
        TaskOutcome(task, _compare(folder, record, task, pretraining), pretraining)
        for task, pretraining in sorted(kinds, key=lambda kind: kind[1])
    )
    return StudyOutcome(folder, record, tuple(groups))


def _compare(folder: StudyFolder, record: StudyRecord, task: str, pretraining: bool) -> Comparison:
    definition = record.definition
    several = len({run.task for run in definition.runs}) > 1
    title = f"{definition.title}: {task}" if several else definition.title
    correct, out = study_spec(task).correct, left_out(definition, record.paths)
    return Comparison(
        f"{title}, pre-training" if pretraining else title,
        TASKS[task].scores,
        record.seeds,
        tuple(
            _read_run(folder, record, run, out.get(run.name, ""))
            for run in definition.runs
            if (run.task, run.pretraining) == (task, pretraining)
        ),
        # Each run is compared with several others.
        correct=None if correct is None else cache(correct),
        along=_name_of_places(definition.along),
    )


def _read_run(folder: StudyFolder, record: StudyRecord, run: StudyRun, left_out: str) -> RunOutcome:
    count = 0 if left_out else record.seeds
    seeds = tuple(read_seed(folder.run(run.name, seed), seed) for seed in range(count))
    settings = record.settings[run.name]
    return RunOutcome(
        run.name,
        run.label,
        settings,
        run.reported.scores,
        run.reported.when,
        seeds,
        left_out,
        run.line,
        None if run.line is None else _place(record.definition.along, settings, seeds),
    )


def _place(along: str | None, settings: RunSettings, seeds: Sequence[SeedOutcome]) -> float | None:
    """Return the number at which a run stands along the lines of its study."""
    if along != IMAGES:
        value = plain_value(settings, along or "")
        return float(value) if isinstance(value, int | float) else None
    counts = [
        one.environment["data"].get("images", {}).get("train")
        for one in seeds
        if one.environment is not None
    ]
    return next((float(count) for count in counts if count is not None), None)


def _name_of_places(along: str | None) -> str:
    if along == IMAGES:
        return "number of training images"
    return "" if along is None else along.rpartition(".")[2].replace("_", " ")
