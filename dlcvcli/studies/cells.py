"""What stands in the cells of a study's tables, whatever its task."""

from __future__ import annotations

from dlcvcli.studies.outcome import RunOutcome, Spread, spread

NONE = "–"


def with_spread(found: Spread, *, sign: str = "") -> str:
    """Return `mean ± sd`; a dash for what does not exist."""
    return plus_minus(found.mean, found.sd, sign=sign)


def plus_minus(mean: float | None, half: float | None, *, sign: str = "") -> str:
    """Return `mean ± half`; a dash for what does not exist."""
    if mean is None:
        return NONE
    return f"{mean:{sign}.4f} ± {NONE if half is None else f'{half:.4f}'}"


def four_digits(value: float | None) -> str:
    """Return a score; a dash for none."""
    return NONE if value is None else f"{value:.4f}"


def seeds_done(run: RunOutcome) -> str:
    """Return how many of a run's seeds are finished."""
    done, asked = len(run.finished), len(run.seeds)
    return str(done) if done == asked else f"{done} of {asked}"


def best_epochs(run: RunOutcome) -> str:
    """Return the epoch of the best validation, or from which to which over the seeds."""
    epochs = run.best_epochs()
    if not epochs:
        return NONE
    low, high = min(epochs), max(epochs)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def training_rate(run: RunOutcome) -> str:
    """Return the images a second of training, a mean over seeds."""
    rate = spread(run.told("images_per_s")).mean
    return NONE if rate is None else f"{rate:.1f}"
