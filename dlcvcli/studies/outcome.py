"""What a study has come to: its runs over their seeds, their spread, and how far they differ.

Reads what the runs' folders hold, finished or not. Needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dlcvcli.runs import RunFolder
from dlcvcli.studies.definition import StudyRun
from dlcvcli.studies.kinds import StudyKind
from dlcvcli.studies.study_folder import State, StudyFolder, StudyRecord, read_results, state_of
from dlcvcli.tasks.fewshot.data import evaluation_shape, training_shape
from dlcvcli.tasks.fewshot.differences import EpisodeDifference, compare_episodes, over_seeds
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings


@dataclass(frozen=True)
class Spread:
    """Values over seeds: their mean, and their standard deviation (ddof 1; None for fewer than 2).

    Attributes:
        mean: None without any value.
        sd: of the values, not of their mean.
        count: of the values.
    """

    mean: float | None
    sd: float | None
    count: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain types."""
        return {"mean": self.mean, "sd": self.sd, "seeds": self.count}


def spread(values: Sequence[float]) -> Spread:
    """Return mean and standard deviation, ddof 1, of values."""
    array = np.asarray(values, dtype=np.float64)
    return Spread(
        float(array.mean()) if array.size else None,
        float(array.std(ddof=1)) if array.size > 1 else None,
        array.size,
    )


@dataclass(frozen=True)
class SeedOutcome:
    """One training.

    Attributes:
        seed: its seed.
        folder: its run folder.
        state: how far it has come.
        step: the last step that is recorded; 0 where there is none.
        results: what results.json holds, of a finished one.
        environment: what environment.json holds, of one that was begun.
    """

    seed: int
    folder: RunFolder
    state: State
    step: int
    results: dict[str, Any] | None
    environment: dict[str, Any] | None


@dataclass(frozen=True)
class RunOutcome:
    """A run of the definition over its seeds."""

    run: StudyRun
    model: str
    seeds: tuple[SeedOutcome, ...]

    @cached_property
    def finished(self) -> dict[int, dict[str, Any]]:
        """Seed -> results of the trainings that are done."""
        return {one.seed: one.results for one in self.seeds if one.results is not None}

    def values(self, key: str) -> dict[int, float]:
        """Return seed -> a metric of the best weights, where it exists."""
        found = {seed: results["metrics"][key] for seed, results in self.finished.items()}
        return {seed: float(value) for seed, value in found.items() if value is not None}

    def over_seeds(self, key: str) -> Spread:
        """Return a metric of the best weights over the seeds."""
        return spread(list(self.values(key).values()))

    def told(self, key: str) -> list[Any]:
        """Return what results.json says under a key, seed by seed."""
        return [results[key] for results in self.finished.values()]

    @property
    def parameters(self) -> int | None:
        """How many the network has; None before any training is done."""
        return next(iter(self.told("parameters")), None)

    def best_epochs(self) -> list[float]:
        """Return the epoch of the best validation, seed by seed."""
        return [best["epoch"] for best in self.told("best") if best is not None]

    def iou_of(self, name: str) -> Spread:
        """Return the IoU of a class over the seeds that score it."""
        per_class = [results["metrics"]["iou_per_class"] for results in self.finished.values()]
        return spread([one[name] for one in per_class if one.get(name) is not None])


@dataclass(frozen=True)
class StudyOutcome:
    """All runs of a study."""

    folder: StudyFolder
    record: StudyRecord
    runs: tuple[RunOutcome, ...]

    @property
    def kind(self) -> StudyKind:
        """What the study's task brings along."""
        return self.record.definition.kind

    @property
    def unfinished(self) -> list[SeedOutcome]:
        """The trainings that are not done."""
        return [one for run in self.runs for one in run.seeds if one.state != "finished"]

    @cached_property
    def best(self) -> RunOutcome | None:
        """The run with the highest mean of the main score, where at least two have one."""
        means = [(run.over_seeds(self.kind.main).mean, run) for run in self.runs]
        known = [(mean, run) for mean, run in means if mean is not None]
        return max(known, key=lambda pair: pair[0])[1] if len(known) > 1 else None

    def difference(self, run: RunOutcome) -> dict[int, float]:
        """Return seed -> main score of a run less that of the first, for seeds that both have."""
        first, other = (one.values(self.kind.main) for one in (self.runs[0], run))
        return {seed: other[seed] - first[seed] for seed in sorted(first.keys() & other.keys())}

    def by_episode(self, run: RunOutcome) -> list[EpisodeDifference]:
        """Return how a few-shot run differs from the first, for each seed that both have."""
        first = self.runs[0]

        def scored(one: RunOutcome, seed: int) -> tuple[RunFolder, dict[str, Any]]:
            return one.seeds[seed].folder, one.finished[seed]["metrics"]

        seeds = sorted(first.finished.keys() & run.finished.keys())
        return [compare_episodes(seed, scored(first, seed), scored(run, seed)) for seed in seeds]

    @cached_property
    def classes(self) -> list[str]:
        """The classes that a finished run scores, in the order of their ids."""
        found = [results["metrics"] for run in self.runs for results in run.finished.values()]
        names = dict.fromkeys(name for one in found for name in one.get("iou_per_class", {}))
        return [
            name
            for name in names
            if any(metrics["iou_per_class"].get(name) is not None for metrics in found)
        ]

    def remarks(self) -> list[str]:
        """Return what a reader has to know before comparing the numbers."""
        lines = [
            f"{run.run.label}: {len(run.finished)} of {len(run.seeds)} seeds are finished; its "
            "numbers are over those alone."
            for run in self.runs
            if 0 < len(run.finished) < len(run.seeds)
        ]
        lines += [
            f"{run.run.label}: {line}."
            for run in self.runs
            for line in dict.fromkeys(
                line for results in run.finished.values() for line in results.get("warnings", ())
            )
        ]
        begun = [
            (one.seed, one.environment)
            for run in self.runs
            for one in run.seeds
            if one.environment is not None
        ]
        for seed in sorted({seed for seed, _ in begun}):
            prints = {json.dumps(env["data"]["sha256"]) for own, env in begun if own == seed}
            if len(prints) > 1:
                lines.append(
                    f"The runs with seed {seed} were not made on the same data: they must not be "
                    "compared."
                )
        if len({env["device"] for _, env in begun}) > 1:
            lines.append("The runs were made on different devices: images/s do not compare.")
        if len({env["precision"]["name"] for _, env in begun}) > 1:
            lines.append("The runs were trained in different precisions.")
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return all of it as plain types, as it stands in the study's results.json."""
        best = self.best
        return {
            "study": self.record.definition.name,
            "task": self.record.definition.task,
            "data": self.record.data,
            "seeds": self.record.seeds,
            "finished": not self.unfinished,
            "unfinished": [
                {"folder": _relative(one, self.folder), "state": one.state, "step": one.step}
                for one in self.unfinished
            ],
            "rule": self.kind.rule,
            "best": None if best is None else best.run.name,
            "runs": [self._run_as_dict(run) for run in self.runs],
            "remarks": self.remarks(),
        }

    def _run_as_dict(self, run: RunOutcome) -> dict[str, Any]:
        difference, kind = self.difference(run), self.kind
        return {
            "name": run.run.name,
            "label": run.run.label,
            "model": run.model,
            "parameters": run.parameters,
            "reported": run.run.reported.model_dump(include={*kind.reported, "when"}),
            "measured": {key: run.over_seeds(key).as_dict() for key in kind.scores},
            **_TOLD[kind.task](self, run),
            "images_per_s": spread(run.told("images_per_s")).mean,
            "peak_memory_mb": max(run.told("peak_memory_mb"), default=None),
            "to_first": None
            if run is self.runs[0]
            else {
                **spread(list(difference.values())).as_dict(),
                "by_seed": {str(seed): value for seed, value in difference.items()},
            },
            "by_seed": [
                {
                    "seed": one.seed,
                    "folder": _relative(one, self.folder),
                    "state": one.state,
                    "best": one.results and one.results["best"],
                    **{key: one.results and one.results["metrics"].get(key) for key in kind.told},
                }
                for one in run.seeds
            ],
        }


def _told_of_segmenter(outcome: StudyOutcome, run: RunOutcome) -> dict[str, Any]:
    return {"iou_per_class": {name: run.iou_of(name).as_dict() for name in outcome.classes}}


def _told_of_fewshot(outcome: StudyOutcome, run: RunOutcome) -> dict[str, Any]:
    settings = outcome.record.settings[run.run.name]
    assert isinstance(settings, TrainFewshotSettings)
    found = outcome.by_episode(run) if run is not outcome.runs[0] else []
    mean, half = over_seeds(found) if found else (None, None)
    return {
        "distance": settings.distance.name,
        "trained": str(training_shape(settings.episode)),
        "tested": str(evaluation_shape(settings.episode)),
        "ci95": run.over_seeds("ci95").mean,
        "to_first_by_episode": None
        if run is outcome.runs[0]
        else {
            "mean": mean,
            "ci95": half,
            "paired": bool(found) and all(one.paired for one in found),
            "by_seed": {str(one.seed): one.as_dict() for one in found},
        },
    }


# What the results of a run hold beside what all tasks have.
_TOLD: dict[str, Callable[[StudyOutcome, RunOutcome], dict[str, Any]]] = {
    "seg": _told_of_segmenter,
    "fewshot": _told_of_fewshot,
}


def read_outcome(folder: StudyFolder) -> StudyOutcome:
    """Read a study's folder.

    Raises:
        DataError: it is not one.
        ConfigError: its record does not fit.
    """
    record = folder.read()
    return StudyOutcome(
        folder,
        record,
        tuple(
            RunOutcome(
                run,
                record.settings[run.name].model.name,
                tuple(_read_seed(folder.run(run.name, seed), seed) for seed in range(record.seeds)),
            )
            for run in record.definition.runs
        ),
    )


def _read_seed(folder: RunFolder, seed: int) -> SeedOutcome:
    results = read_results(folder)
    environment = None
    if folder.environment.is_file():
        environment = json.loads(folder.environment.read_text(encoding="utf-8"))
    step = max((record["step"] for record in folder.read_metrics()), default=0)
    return SeedOutcome(seed, folder, state_of(folder), step, results, environment)


def _relative(one: SeedOutcome, folder: StudyFolder) -> str:
    return one.folder.path.relative_to(folder.path).as_posix()
