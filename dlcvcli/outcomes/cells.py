"""Texts for the cells of tables that compare runs."""

from __future__ import annotations

from dlcvcli.outcomes.runs import RunOutcome
from dlcvcli.outcomes.spread import Spread

NONE = "–"


def with_spread(values: Spread, *, sign: str = "") -> str:
    """Return `mean ± sd`; a dash for what does not exist."""
    return plus_minus(values.mean, values.sd, sign=sign)


def plus_minus(mean: float | None, half: float | None, *, sign: str = "") -> str:
    """Return `mean ± half`; a dash for what does not exist."""
    if mean is None:
        return NONE
    return f"{mean:{sign}.4f} ± {NONE if half is None else f'{half:.4f}'}"


def four_digits(value: float | None) -> str:
    """Return a score with four digits; a dash for None."""
    return NONE if value is None else f"{value:.4f}"


def seeds_done(run: RunOutcome) -> str:
    """Return how many seeds of a run are finished."""
    done, planned = len(run.finished), len(run.seeds)
    return str(done) if done == planned else f"{done} of {planned}"


def best_epochs(run: RunOutcome) -> str:
    """Return the epoch of the best validation, or the range of it over the seeds."""
    epochs = run.best_epochs()
    if not epochs:
        return NONE
    low, high = min(epochs), max(epochs)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def throughput(run: RunOutcome) -> str:
    """Return the images per second of training, a mean over seeds."""
    return NONE if run.images_per_s is None else f"{run.images_per_s:.1f}"
