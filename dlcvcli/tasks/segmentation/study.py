"""The tables of a study of segmenters: a row a run, what was reported beside what was measured."""

from __future__ import annotations

from dlcvcli.studies.cells import (
    NONE,
    best_epochs,
    four_digits,
    seeds_done,
    training_rate,
    with_spread,
)
from dlcvcli.studies.outcome import RunOutcome, StudyOutcome, spread
from dlcvcli.studies.text_table import Table


def main_table(outcome: StudyOutcome) -> Table:
    """Return a row a run, in the definition's order; `marked` is the best one's row."""
    columns = (
        *("run", "model", "parameters", "reported mIoU", "measured mIoU", "seeds", "best epoch"),
        *("overall accuracy", "mean accuracy", "freq.-w. IoU", "images/s", "peak MiB"),
    )
    marked = None if outcome.best is None else outcome.runs.index(outcome.best)
    rows = tuple(_row(run) for run in outcome.runs)
    return Table(outcome.record.definition.title, columns, rows, words=2, marked=marked)


def difference_table(outcome: StudyOutcome) -> Table | None:
    """Return how far the runs differ from the first, seed by seed; None where there is nothing."""
    first, rows = outcome.runs[0], []
    for run in outcome.runs[1:]:
        by_seed = outcome.difference(run)
        if by_seed:
            found = spread(list(by_seed.values()))
            each = ", ".join(f"{value:+.4f}" for value in by_seed.values())
            rows.append((run.run.label, with_spread(found, sign="+"), str(found.count), each))
    title = f"mIoU less that of {first.run.label}, paired by seed"
    return (
        Table(title, ("run", "difference", "seeds", "seed by seed"), tuple(rows)) if rows else None
    )


def reported_table(outcome: StudyOutcome) -> Table | None:
    """Return the reported scores other than the mIoU beside the measured ones, if there are any."""
    rows = []
    for run in outcome.runs:
        told = run.run.reported.model_dump()
        for key, name in outcome.kind.scores.items():
            if key != outcome.kind.main and told[key] is not None:
                found = run.over_seeds(key)
                rows.append((run.run.label, name, f"{told[key]:.4f}", with_spread(found)))
    columns = ("run", "score", "reported", "measured")
    return Table("Other reported scores", columns, tuple(rows), words=2) if rows else None


def class_table(outcome: StudyOutcome) -> Table:
    """Return the IoU of every class, a column a run."""
    return Table(
        "IoU of every class",
        ("class", *(run.run.label for run in outcome.runs)),
        tuple(
            (name, *(with_spread(run.iou_of(name)) for run in outcome.runs))
            for name in outcome.classes
        ),
    )


def page_tables(outcome: StudyOutcome) -> list[Table]:
    """Return what the other functions do in tables narrow enough for a page."""
    whole = main_table(outcome)
    scores = ("reported mIoU", "measured mIoU", "seeds", "best epoch")
    more = ("overall accuracy", "mean accuracy", "freq.-w. IoU")
    cost = ("model", "parameters", "images/s", "peak MiB")
    tables = (
        whole.only("", scores, marked=True),
        difference_table(outcome),
        whole.only("Other scores, means over seeds", more),
        reported_table(outcome),
        whole.only("Size, speed of training and memory", cost),
    )
    return [table for table in tables if table is not None]


def measured_notes(outcome: StudyOutcome) -> list[str]:
    """Return what the measured numbers are."""
    return [
        "Measured: the best checkpoint of each seed, evaluated in float32; mean ± standard "
        "deviation over seeds (ddof 1), a dash with one seed. Images/s are those of training.",
    ]


def _row(run: RunOutcome) -> tuple[str, ...]:
    return (
        *(run.run.label, run.model),
        NONE if run.parameters is None else f"{run.parameters / 1e6:.1f} M",
        four_digits(run.run.reported.miou),
        with_spread(run.over_seeds("miou")),
        seeds_done(run),
        best_epochs(run),
        *(
            four_digits(run.over_seeds(key).mean)
            for key in ("overall_acc", "mean_acc", "freqw_acc")
        ),
        training_rate(run),
        str(max(run.told("peak_memory_mb"), default=NONE)),
    )
