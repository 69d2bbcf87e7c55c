"""Results of runs over seeds, read from their folders, finished or not. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from dlcvcli.outcomes.spread import Spread, spread
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score

State = Literal["finished", "unfinished", "not started"]


@dataclass(frozen=True)
class SeedOutcome:
    """One training.

    Attributes:
        seed: its seed.
        folder: its run folder.
        state: whether it is finished.
        step: the last recorded step; 0 where there is none.
        results: content of results.json; None for an unfinished training.
        environment: content of environment.json; None for a training that was not started.
    """

    seed: int
    folder: RunFolder
    state: State
    step: int
    results: dict[str, Any] | None
    environment: dict[str, Any] | None


@dataclass(frozen=True)
class RunOutcome:
    """A run of a study over its seeds.

    Attributes:
        name: of its folder.
        label: its name in tables and figures.
        settings: of its task.
        reported: key of a score, or of its interval -> the value in the report, where it has one.
        when: where the report had its best score, e.g. `epoch 585`; may be empty.
        seeds: one training a seed; none for a run that is left out.
        left_out: why it is left out; empty for the others.
        line: label of the line that it is a point of, where the study has a figure along a setting.
        place: where it is on that line; None where it is not known yet.
    """

    name: str
    label: str
    settings: Any
    reported: Mapping[str, float]
    when: str
    seeds: tuple[SeedOutcome, ...]
    left_out: str = ""
    line: str | None = None
    place: float | None = None

    @property
    def model(self) -> str:
        """Name of the network."""
        return str(self.settings.model.name)

    @cached_property
    def finished(self) -> dict[int, dict[str, Any]]:
        """Seed -> results of the finished trainings."""
        return {one.seed: one.results for one in self.seeds if one.results is not None}

    def values(self, key: str) -> dict[int, float]:
        """Return seed -> a metric of the best checkpoint, where it exists."""
        metrics = {seed: results["metrics"][key] for seed, results in self.finished.items()}
        return {seed: float(value) for seed, value in metrics.items() if value is not None}

    def over_seeds(self, key: str) -> Spread:
        """Return mean and standard deviation over seeds of a metric of the best checkpoint."""
        return spread(list(self.values(key).values()))

    @property
    def parameters(self) -> int | None:
        """Number of parameters of the network; None before a training is finished."""
        return next(iter(self._results("parameters")), None)

    @property
    def images_per_s(self) -> float | None:
        """Throughput of training, a mean over seeds."""
        return spread(self._results("images_per_s")).mean

    @property
    def peak_memory_mb(self) -> int | None:
        """The largest peak memory over seeds."""
        return max(self._results("peak_memory_mb"), default=None)

    def best_epochs(self) -> list[float]:
        """Return the epoch of the best validation, seed by seed."""
        return [best["epoch"] for best in self._results("best") if best is not None]

    def _results(self, key: str) -> list[Any]:
        return [results[key] for results in self.finished.values()]


@dataclass(frozen=True)
class Comparison:
    """Runs of one task, compared with the first of them, or with the first at their place.

    Attributes:
        title: of their table.
        scores: of the task; runs are compared by the first.
        seeds: number of seeds, from 0.
        runs: at least one.
        correct: returns image -> whether the best checkpoint of a run predicts it right, of the
            set that the main score is of; None for tasks that do not keep it.
        along: name of what the places of the runs are; empty where they have none.
    """

    title: str
    scores: tuple[Score, ...]
    seeds: int
    runs: tuple[RunOutcome, ...]
    correct: Callable[[RunFolder], Mapping[str, bool]] | None = None
    along: str = ""

    @property
    def main(self) -> Score:
        """The score that runs are compared by."""
        return self.scores[0]

    @property
    def unfinished(self) -> list[SeedOutcome]:
        """The trainings that are not finished."""
        return [one for run in self.runs for one in run.seeds if one.state != "finished"]

    @cached_property
    def best(self) -> RunOutcome | None:
        """The run with the best mean of the main score, where at least two have one."""
        means = [(run.over_seeds(self.main.key).mean, run) for run in self.runs]
        known = [(mean, run) for mean, run in means if mean is not None]
        choose = max if self.main.higher_is_better else min
        return choose(known, key=lambda pair: pair[0])[1] if len(known) > 1 else None

    @property
    def marked(self) -> int | None:
        """Position of the best run."""
        return None if self.best is None else self.runs.index(self.best)

    def values(self, run: RunOutcome) -> dict[int, float]:
        """Return seed -> main score of a run."""
        return run.values(self.main.key)

    def at_each_place(self) -> list[list[RunOutcome]]:
        """Return the runs, in a group for each place on the lines of the study."""
        places: dict[float | None, list[RunOutcome]] = {}
        for run in self.runs:
            places.setdefault(run.place, []).append(run)
        return list(places.values())

    def first_beside(self, run: RunOutcome) -> RunOutcome:
        """Return the first run at the place of a run; the first of all where none has a place."""
        return next(one for one in self.runs if one.place == run.place)

    def difference(self, run: RunOutcome) -> dict[int, float]:
        """Return seed -> main score of a run minus that of the first at its place.

        Only seeds that both have are in it.
        """
        first, other = (self.values(one) for one in (self.first_beside(run), run))
        return {seed: other[seed] - first[seed] for seed in sorted(first.keys() & other.keys())}

    def remarks(self) -> list[str]:
        """Return what a reader has to know before comparing the numbers."""
        lines = [
            f"{run.label}: {len(run.finished)} of {len(run.seeds)} seeds are finished; its "
            "numbers are over those alone."
            for run in self.runs
            if 0 < len(run.finished) < len(run.seeds)
        ]
        lines += [f"{run.label}: {run.left_out}." for run in self.runs if run.left_out]
        lines += [
            f"{run.label}: {line}."
            for run in self.runs
            for line in dict.fromkeys(
                line for results in run.finished.values() for line in results.get("warnings", ())
            )
        ]
        return lines + self._differing_conditions()

    def _differing_conditions(self) -> list[str]:
        started = [
            (one.seed, one.environment)
            for run in self.runs
            for one in run.seeds
            if one.environment is not None
        ]
        lines = []
        for seed in sorted({seed for seed, _ in started}):
            prints = {json.dumps(env["data"]["sha256"]) for own, env in started if own == seed}
            if len(prints) > 1:
                lines.append(
                    f"The runs with seed {seed} were not trained on the same data: they must not "
                    "be compared."
                )
        if len({env["device"] for _, env in started}) > 1:
            lines.append("The runs were trained on different devices: images/s do not compare.")
        if len({env["precision"]["name"] for _, env in started}) > 1:
            lines.append("The runs were trained in different precisions.")
        return lines


def state_of(run: RunFolder) -> State:
    """Return whether a run is finished."""
    if read_results(run) is not None:
        return "finished"
    return "unfinished" if run.holds_run else "not started"


def read_results(run: RunFolder) -> dict[str, Any] | None:
    """Return the results of a run; None for an unfinished one."""
    if not run.results.is_file():
        return None
    results: dict[str, Any] = json.loads(run.results.read_text(encoding="utf-8"))
    return results if results["finished"] and "metrics" in results else None


def read_seed(folder: RunFolder, seed: int) -> SeedOutcome:
    """Read the folder of one training."""
    results = read_results(folder)
    environment = None
    if folder.environment.is_file():
        environment = json.loads(folder.environment.read_text(encoding="utf-8"))
    step = max((record["step"] for record in folder.read_metrics()), default=0)
    return SeedOutcome(seed, folder, state_of(folder), step, results, environment)
