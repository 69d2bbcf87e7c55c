"""What a score is: its key in records and results, its name, and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """A number that models of a task are judged by.

    Attributes:
        key: in `metrics.jsonl`, `results.json` and the JSON of `dlcv eval`.
        name: in tables and figures.
        higher_is_better: the direction by which the best checkpoint is chosen.
        interval: key of half of its 95 % interval, where it has one.
        limit: the flag of `dlcv eval` with which the command exits with status 3 where the score is
            worse than its value.
        shown: whether the log names it at every validation.
    """

    key: str
    name: str
    higher_is_better: bool = True
    interval: str | None = None
    limit: str | None = None
    shown: bool = True

    def is_better(self, value: float | None, than: float | None) -> bool:
        """Return whether a value is strictly better than another; None is worse than any."""
        if value is None:
            return False
        if than is None:
            return True
        return value > than if self.higher_is_better else value < than
