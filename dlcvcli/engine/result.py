"""The result of the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlcvcli.engine.hooks import Plan, Record
from dlcvcli.engine.recorder import Best, Totals


@dataclass(frozen=True)
class FitResult:
    """The result of the training loop.

    Attributes:
        step, total_steps: completed steps, planned steps.
        plan: steps and batches of the run.
        ended: why the loop ended: all steps are done or patience ran out, the time of `--max-time`
            is over, or a signal arrived.
        signal: number of the signal; 0: none.
        best: the best validation score.
        last: record of the last validation, if any.
        seconds: wall time of the run, over all resumptions.
        totals: images and time of training, over all resumptions.
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
