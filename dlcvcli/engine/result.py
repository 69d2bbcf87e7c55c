"""How a training ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlcvcli.engine.hooks import Plan, Record
from dlcvcli.engine.recorder import Best, Totals


@dataclass(frozen=True)
class FitResult:
    """The end of a training.

    Attributes:
        step, total_steps: steps done, steps planned.
        plan: what was trained.
        ended: whether it finished, ran out of `--max-time`, or was told to stop by a signal.
        signal: the signal's number, 0 without one.
        best: the best validation.
        last: the last validation's record, if any.
        seconds: wall time of the run, over all resumptions.
        totals: images and time in training, over all resumptions.
    """

    step: int
    total_steps: int
    plan: Plan
    ended: Literal["finished", "max_time", "signal"]
    signal: int
    best: Best
    last: Record | None
    seconds: float
    totals: Totals
