"""Learning curves of the runs that are compared."""

from __future__ import annotations

from pathlib import Path

from dlcvcli.outcomes.page import Picture, Pictures, Section
from dlcvcli.outcomes.runs import Comparison, RunOutcome
from dlcvcli.runs import RunFolder


def draw_curves(comparison: Comparison, folder: Path) -> list[Picture]:
    """Draw training loss and validation score of all runs that were started."""
    from dlcvcli.figures.study_curves import study_curves
    from dlcvcli.figures.style import save

    started = {
        run.label: _folders(run) for run in comparison.runs if any(one.step for one in run.seeds)
    }
    if not started:
        return []
    path, score = folder / "curves.png", comparison.main
    save(study_curves(started, score), path)
    band = "; the mean over seeds, in a band of ±1 standard deviation"
    return [
        Picture(
            path,
            f"Training loss and validation {score.name} of every run over the epochs",
            f"Training loss and validation {score.name} over the epochs"
            f"{band if comparison.seeds > 1 else ''}.",
        )
    ]


def curves_section(pictures: Pictures) -> Section:
    """Return the section of the page that shows the curves."""
    return Section("Learning curves", pictures["curves"])


def _folders(run: RunOutcome) -> list[RunFolder]:
    """Return the folders of the finished seeds, or of those started if none is finished."""
    done = [one.folder for one in run.seeds if one.state == "finished"]
    return done or [one.folder for one in run.seeds if one.step]
