"""The IoU of every class in the runs of a study. Needs no torch."""

from __future__ import annotations

from dlcvcli.outcomes.cells import with_spread
from dlcvcli.outcomes.runs import Comparison, RunOutcome
from dlcvcli.outcomes.spread import Spread, spread
from dlcvcli.outcomes.table import Table
from dlcvcli.palette import ClassSet


def class_table(comparison: Comparison) -> Table:
    """Return the IoU of every class, a column a run."""
    return Table(
        "IoU of every class",
        ("class", *(run.label for run in comparison.runs)),
        tuple(
            (name, *(with_spread(iou_of(run, name)) for run in comparison.runs))
            for name in scored_classes(comparison)
        ),
    )


def iou_of(run: RunOutcome, name: str) -> Spread:
    """Return the IoU of a class over the seeds in which it is scored."""
    per_class = [results["metrics"]["iou_per_class"] for results in run.finished.values()]
    return spread([one[name] for one in per_class if one.get(name) is not None])


def scored_classes(comparison: Comparison) -> list[str]:
    """Return the classes that a finished run scores, in the order of their ids."""
    per_class = [
        results["metrics"]["iou_per_class"]
        for run in comparison.runs
        for results in run.finished.values()
    ]
    names = dict.fromkeys(name for one in per_class for name in one)
    return [name for name in names if any(one.get(name) is not None for one in per_class)]


def class_set(comparison: Comparison) -> ClassSet | None:
    """Return the class set of the first run that was started."""
    for run in comparison.runs:
        for one in run.seeds:
            if one.environment is not None:
                return ClassSet.from_dict(one.environment["data"]["classes"])
    return None
