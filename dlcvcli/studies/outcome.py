"""The results of a study: its runs over their seeds, a comparison for each task.

Reads the folders of the runs, finished or not. Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dlcvcli.outcomes.runs import Comparison, RunOutcome, SeedOutcome, read_seed
from dlcvcli.outcomes.spec import StudySpec, reported_keys
from dlcvcli.outcomes.spread import spread
from dlcvcli.studies.definition import StudyRun, study_spec
from dlcvcli.studies.study_folder import StudyFolder, StudyRecord
from dlcvcli.tasks.registry import TASKS


@dataclass(frozen=True)
class TaskOutcome:
    """The runs of one task.

    Attributes:
        task: its name.
        comparison: of the runs, in the definition's order.
    """

    task: str
    comparison: Comparison

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
        groups: one for each task, in the definition's order.
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
        several = len(self.groups) > 1
        return {
            "study": self.record.definition.name,
            "task": first.task,
            "data": self.record.data,
            "seeds": self.record.seeds,
            "finished": not self.unfinished,
            "unfinished": [
                {"folder": self.relative(one), "state": one.state, "step": one.step}
                for one in self.unfinished
            ],
            "rule": first.spec.rule,
            "best": _best(first),
            **({"tasks": {one.task: _facts(one) for one in self.groups}} if several else {}),
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
            "reported": {**reported, "when": run.when},
            "measured": {key: run.over_seeds(key).as_dict() for key in keys},
            **spec.results(comparison, run),
            "images_per_s": run.images_per_s,
            "peak_memory_mb": run.peak_memory_mb,
            "to_first": None
            if run is comparison.runs[0]
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


def _facts(group: TaskOutcome) -> dict[str, Any]:
    """Return what results.json has of a task where a study has several."""
    names = [run.name for run in group.comparison.runs]
    return {"rule": group.spec.rule, "best": _best(group), "runs": names}


def read_outcome(folder: StudyFolder) -> StudyOutcome:
    """Read the folder of a study.

    Raises:
        DataError: it is not one.
        ConfigError: its record does not fit.
    """
    record = folder.read()
    definition = record.definition
    tasks = list(dict.fromkeys(run.task for run in definition.runs))
    groups = [
        TaskOutcome(
            task,
            Comparison(
                definition.title if len(tasks) == 1 else f"{definition.title}: {task}",
                TASKS[task].scores,
                record.seeds,
                tuple(
                    _read_run(folder, record, run) for run in definition.runs if run.task == task
                ),
            ),
        )
        for task in tasks
    ]
    return StudyOutcome(folder, record, tuple(groups))


def _read_run(folder: StudyFolder, record: StudyRecord, run: StudyRun) -> RunOutcome:
    return RunOutcome(
        run.name,
        run.label,
        record.settings[run.name],
        run.reported.scores,
        run.reported.when,
        tuple(read_seed(folder.run(run.name, seed), seed) for seed in range(record.seeds)),
    )
