"""The tables of a study of few-shot learners: accuracies with intervals, and paired differences."""

from __future__ import annotations

from typing import Any

from dlcvcli.studies.cells import (
    NONE,
    best_epochs,
    four_digits,
    plus_minus,
    seeds_done,
    training_rate,
)
from dlcvcli.studies.outcome import RunOutcome, StudyOutcome, spread
from dlcvcli.studies.text_table import Table
from dlcvcli.tasks.fewshot.data import evaluation_shape, training_shape
from dlcvcli.tasks.fewshot.differences import EpisodeDifference, over_seeds
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings

PAIRED, UNPAIRED = "paired", "not paired"
SEED_BY_SEED = "seed by seed"


def main_table(outcome: StudyOutcome) -> Table:
    """Return a row a run, in the definition's order; `marked` is the best one's row."""
    columns = (
        *("run", "encoder", "distance", "trained", "tested", "reported accuracy"),
        *("measured accuracy", "seeds", "best epoch", "images/s", "parameters"),
    )
    marked = None if outcome.best is None else outcome.runs.index(outcome.best)
    rows = tuple(_row(outcome, run) for run in outcome.runs)
    return Table(outcome.record.definition.title, columns, rows, words=5, marked=marked)


def difference_table(outcome: StudyOutcome) -> Table | None:
    """Return how far the runs differ from the first, by episodes; None where there is nothing."""
    several = outcome.record.seeds > 1
    rows = []
    for run in outcome.runs[1:]:
        found = outcome.by_episode(run)
        if found:
            mean, half = over_seeds(found)
            row = (run.run.label, how_compared(found), plus_minus(mean, half, sign="+"))
            each = ", ".join(plus_minus(one.mean, one.ci95, sign="+") for one in found)
            sd = spread([one.mean for one in found]).sd
            rows.append((*row, *((four_digits(sd), str(len(found)), each) if several else ())))
    title = f"Accuracy less that of {outcome.runs[0].run.label}, ± 95 % interval over episodes"
    more = ("sd over seeds", "seeds", SEED_BY_SEED) if several else ()
    columns = ("run", "episodes", "difference", *more)
    return Table(title, columns, tuple(rows), words=2) if rows else None


def how_compared(found: list[EpisodeDifference]) -> str:
    """Say whether differences are of the same episodes, and if not, why."""
    why = dict.fromkeys(one.why for one in found if not one.paired)
    return f"{UNPAIRED}: {', '.join(why)}" if why else PAIRED


def page_tables(outcome: StudyOutcome) -> list[Table]:
    """Return what the other functions do in tables narrow enough for a page."""
    whole, apart = main_table(outcome), difference_table(outcome)
    if apart is not None:
        # Of several seeds, one after the other is too wide, and the figure shows each.
        kept = (name for name in apart.columns[1:] if name != SEED_BY_SEED)
        apart = apart.only(apart.title, kept)
    scores = ("reported accuracy", "measured accuracy", "seeds", "best epoch")
    made = ("encoder", "distance", "trained", "tested", "images/s", "parameters")
    tables = (
        whole.only("", scores, marked=True),
        apart,
        whole.only("What was trained and tested, its speed and its size", made),
    )
    return [table for table in tables if table is not None]


def measured_notes(outcome: StudyOutcome) -> list[str]:
    """Return what the measured numbers are."""
    metrics = [found["metrics"] for run in outcome.runs for found in run.finished.values()]
    counts = sorted({one["episodes"] for one in metrics})
    episodes = " or ".join(f"{count:,}" for count in counts) or "the"
    spread_of = (
        "mean ± half of its 95 % interval over the episodes, 1.96 s / √E (ddof 1). It says how "
        "well the episodes tell the accuracy of this one training, not how far another would be."
        if outcome.record.seeds == 1
        else "mean ± standard deviation over seeds (ddof 1). The intervals of the differences are "
        "over episodes, each seed's in a mean; results.json has all of them."
    )
    lines = [
        f"Measured: the best checkpoint of each seed, scored in float32 on {episodes} episodes "
        f"that no validation has looked at; {spread_of} Images/s are those of training."
    ]
    if any(one["split"] == "val" for one in metrics):
        lines.append(
            "There is no test split: the episodes are of the classes that validation chose the "
            "best checkpoint by."
        )
    return lines + _difference_notes(outcome)


def extra_columns(outcome: StudyOutcome, run: RunOutcome) -> dict[str, Any]:
    """Return what a program wants of a run beside what all tasks have."""
    found = outcome.by_episode(run) if run is not outcome.runs[0] else []
    mean, half = over_seeds(found) if found else (None, None)
    settings = _settings(outcome, run)
    return {
        "distance": settings.distance.name,
        "trained": training_shape(settings.episode),
        "tested": evaluation_shape(settings.episode),
        "reported_ci95": run.run.reported.ci95,
        "ci95": run.over_seeds("ci95").mean,
        "to_first_by_episode": mean,
        "to_first_ci95": half,
        "to_first_paired": int(all(one.paired for one in found)) if found else None,
    }


def _difference_notes(outcome: StudyOutcome) -> list[str]:
    found = [one for run in outcome.runs[1:] for one in outcome.by_episode(run)]
    lines = []
    if any(one.paired for one in found):
        lines.append(
            "Paired: both runs were scored on the same episodes, and the difference is that of "
            "each episode, averaged; 1.96 s / √E of these differences."
        )
    if any(not one.paired for one in found):
        lines.append(
            "Not paired: the two runs were not scored on the same episodes (with other shots or "
            "queries, or on other images, episodes are others), or their episodes.csv is gone. The "
            "means are then independent: √(a² + b²) of their own intervals, which is wider."
        )
    return lines


def _row(outcome: StudyOutcome, run: RunOutcome) -> tuple[str, ...]:
    settings, reported = _settings(outcome, run), run.run.reported
    found = run.over_seeds("accuracy")
    one_seed = outcome.record.seeds == 1
    told = NONE
    if reported.accuracy is not None:
        told = f"{reported.accuracy:.4f}"
        told += "" if reported.ci95 is None else f" ± {reported.ci95:.4f}"
    return (
        *(run.run.label, run.model, settings.distance.name),
        *(str(training_shape(settings.episode)), str(evaluation_shape(settings.episode))),
        told,
        plus_minus(found.mean, run.over_seeds("ci95").mean if one_seed else found.sd),
        *(seeds_done(run), best_epochs(run), training_rate(run)),
        NONE if run.parameters is None else f"{run.parameters:,}",
    )


def _settings(outcome: StudyOutcome, run: RunOutcome) -> TrainFewshotSettings:
    settings = outcome.record.settings[run.run.name]
    assert isinstance(settings, TrainFewshotSettings)
    return settings
