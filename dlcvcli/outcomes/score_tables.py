"""Tables of scores that are means over seeds, with what was reported beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from dlcvcli.outcomes.cells import (
    NONE,
    best_epochs,
    four_digits,
    seeds_done,
    throughput,
    with_spread,
)
from dlcvcli.outcomes.ranking import ranking_notes, ranking_table
from dlcvcli.outcomes.runs import Comparison, RunOutcome
from dlcvcli.outcomes.spread import spread
from dlcvcli.outcomes.table import Table
from dlcvcli.scores import Score


def main_table(comparison: Comparison) -> Table:
    """Return a row a run, in their order; the best one is marked."""
    columns = (
        *("run", "model", "parameters", *_names(comparison), "seeds", "best epoch"),
        *(score.name for score in comparison.scores[1:]),
        *("images/s", "peak MiB"),
    )
    rows = tuple(_row(run, comparison.scores) for run in comparison.runs)
    return Table(comparison.title, columns, rows, words=2, marked=comparison.marked)


def _row(run: RunOutcome, scores: Sequence[Score]) -> tuple[str, ...]:
    memory = run.peak_memory_mb
    return (
        *(run.label, run.model),
        NONE if run.parameters is None else f"{run.parameters / 1e6:.1f} M",
        four_digits(run.reported.get(scores[0].key)),
        with_spread(run.over_seeds(scores[0].key)),
        seeds_done(run),
        best_epochs(run),
        *(four_digits(run.over_seeds(score.key).mean) for score in scores[1:]),
        throughput(run),
        NONE if memory is None else str(memory),
    )


def difference_table(comparison: Comparison) -> Table:
    """Return how far the main score of each run differs from that of the first, by seed."""
    rows = []
    for run in comparison.runs:
        if run is comparison.first_beside(run):
            continue
        differences = list(comparison.difference(run).values())
        if differences:
            over_seeds = spread(differences)
            each = ", ".join(f"{value:+.4f}" for value in differences)
            rows.append((run.label, with_spread(over_seeds, sign="+"), str(over_seeds.count), each))
    first = comparison.runs[0]
    base = f"{first.line} at the same {comparison.along}" if first.line else first.label
    title = f"{comparison.main.name} minus that of {base}, paired by seed"
    return Table(title, ("run", "difference", "seeds", "seed by seed"), tuple(rows))


def reported_table(comparison: Comparison) -> Table:
    """Return the reported scores other than the main one beside the measured ones."""
    rows = tuple(
        (
            *(run.label, score.name, f"{run.reported[score.key]:.4f}"),
            with_spread(run.over_seeds(score.key)),
        )
        for run in comparison.runs
        for score in comparison.scores[1:]
        if score.key in run.reported
    )
    return Table("Other reported scores", ("run", "score", "reported", "measured"), rows, words=2)


def page_tables(comparison: Comparison) -> list[Table]:
    """Return these tables, narrow enough for a page."""
    main = main_table(comparison)
    scores = (*_names(comparison), "seeds", "best epoch")
    others = [score.name for score in comparison.scores[1:]]
    cost = ("model", "parameters", "images/s", "peak MiB")
    return [
        main.only("", scores, marked=True),
        ranking_table(comparison),
        difference_table(comparison),
        *([main.only("Other scores, means over seeds", others)] if others else []),
        reported_table(comparison),
        main.only("Size, speed of training and memory", cost),
    ]


def seed_notes(comparison: Comparison) -> list[str]:
    """Return what the measured numbers are."""
    return [
        "Measured: the best checkpoint of each seed, evaluated in float32; mean ± standard "
        "deviation over seeds (ddof 1), a dash with one seed. Images/s are those of training.",
        *ranking_notes(comparison),
    ]


def _names(comparison: Comparison) -> tuple[str, str]:
    """Return the columns of the main score."""
    return f"reported {comparison.main.name}", f"measured {comparison.main.name}"
