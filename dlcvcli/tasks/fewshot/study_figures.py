"""The figures of a study of few-shot models, drawn from their run folders."""

from __future__ import annotations

from pathlib import Path

from dlcvcli.figures.accuracy_points import Point, accuracy_points
from dlcvcli.figures.style import save
from dlcvcli.outcomes.curves import draw_curves
from dlcvcli.outcomes.page import Picture
from dlcvcli.outcomes.runs import Comparison


def draw_points(comparison: Comparison, folder: Path) -> list[Picture]:
    """Draw the accuracy of every run with its interval, beside the reported one."""
    done, path = [run for run in comparison.runs if run.finished], folder / "accuracy.png"
    if not done:
        return []
    measured: dict[str, list[Point]] = {}
    reported: dict[str, Point] = {}
    for run in done:
        metrics = [results["metrics"] for results in run.finished.values()]
        measured[run.label] = [(one["accuracy"], one["ci95"]) for one in metrics]
        if "accuracy" in run.reported:
            reported[run.label] = (run.reported["accuracy"], run.reported.get("ci95"))
    save(accuracy_points(measured, reported), path)
    each = ", a point for each seed" if comparison.seeds > 1 else ""
    return [
        Picture(
            path,
            "Accuracy of every run with its 95 % interval",
            f"The accuracy of the best checkpoints{each}, with its 95 % interval over the episodes "
            "that it was scored on.",
        )
    ]


FIGURES = {"curves": draw_curves, "points": draw_points}
