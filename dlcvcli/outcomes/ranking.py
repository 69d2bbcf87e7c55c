"""The ranking of compared runs, with the paired difference of each to others. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import fmean
from typing import Any

from dlcvcli.outcomes.cells import NONE, with_spread
from dlcvcli.outcomes.paired import Difference, difference_over_images, difference_over_seeds
from dlcvcli.outcomes.runs import Comparison, RunOutcome
from dlcvcli.outcomes.table import Table


@dataclass(frozen=True)
class RankedRun:
    """A run and its rank.

    Attributes:
        rank: from 1.
        run: the run.
        to_previous: its main score minus that of the rank above; None for the first.
        to_best: its main score minus that of the first; None for the first.
    """

    rank: int
    run: RunOutcome
    to_previous: Difference | None
    to_best: Difference | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain types."""
        return {
            "rank": self.rank,
            "run": self.run.name,
            "to_previous": self.to_previous and self.to_previous.as_dict(),
            "to_best": self.to_best and self.to_best.as_dict(),
        }


def rank_runs(comparison: Comparison) -> list[RankedRun]:
    """Return the finished runs from best to worst mean of the main score.

    Runs along a setting are ranked for each of its values, one after the other.
    """
    return [
        one
        for group in comparison.at_each_place()
        for one in _ranked(comparison, [run for run in group if comparison.values(run)])
    ]


def _ranked(comparison: Comparison, runs: list[RunOutcome]) -> list[RankedRun]:
    ordered = sorted(
        runs,
        key=lambda run: fmean(comparison.values(run).values()),
        reverse=comparison.main.higher_is_better,
    )
    return [
        RankedRun(
            place + 1,
            run,
            difference(comparison, ordered[place - 1], run) if place else None,
            difference(comparison, ordered[0], run) if place else None,
        )
        for place, run in enumerate(ordered)
    ]


def difference(comparison: Comparison, first: RunOutcome, other: RunOutcome) -> Difference | None:
    """Return the main score of `other` minus that of `first`.

    It is paired by seed. With one common seed, it is paired by image, where the task says which
    images of the validation set are predicted right.
    """
    over_seeds = difference_over_seeds(comparison.values(first), comparison.values(other))
    if over_seeds is None or over_seeds.count > 1 or comparison.correct is None:
        return over_seeds
    (seed,) = comparison.values(first).keys() & comparison.values(other).keys()
    correct = [comparison.correct(run.seeds[seed].folder) for run in (first, other)]
    return difference_over_images(*correct) or over_seeds


def ranking_table(comparison: Comparison) -> Table:
    """Return the runs from best to worst; no row for a single one."""
    ranked = rank_runs(comparison)
    rows = tuple(
        (
            *(str(one.rank), one.run.label, with_spread(one.run.over_seeds(comparison.main.key))),
            *(_cell(one.to_previous), _cell(one.to_best)),
        )
        for one in ranked
    )
    name = comparison.main.name
    columns = ("rank", "run", name, "minus the rank above", "minus the best")
    compared = any(one.to_best is not None for one in ranked)
    title = f"Ranking by {name}, with paired differences and their 95 % intervals"
    return Table(title, columns, rows if compared else (), words=2)


def ranking_notes(comparison: Comparison) -> list[str]:
    """Return what the intervals of the ranking are."""
    differences = [one.to_best for one in rank_runs(comparison) if one.to_best is not None]
    known = [one for one in differences if one.low is not None]
    lines = []
    if any(one.over == "seeds" for one in known):
        lines.append(
            "Ranking: differences are paired by seed; their 95 % interval is that of Student's t "
            "over the seeds, so it says how far trainings differ."
        )
    if any(one.over == "images" for one in known):
        lines.append(
            "Ranking: differences are paired by validation image, with the adjusted Wald interval "
            "of matched pairs. It holds for these trained models; how far other trainings differ, "
            "only several seeds show (--seeds 3)."
        )
    if any(one.low is None for one in differences):
        lines.append("Ranking: a difference of one seed has no interval; train more (--seeds 3).")
    if any(one.is_clear for one in known):
        lines.append(
            "An asterisk: the interval does not contain 0. It is not corrected for the number of "
            "comparisons."
        )
    return lines


def _cell(difference: Difference | None) -> str:
    if difference is None:
        return NONE
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.4f}"
    mark = "*" if difference.is_clear else ""
    return f"{difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}]{mark}"
