"""Records of a run as lines for people: `log.txt`, and the console where it is no terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from dlcvcli.engine.hooks import Hooks, Plan, Record
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score

Say = Callable[[str], None]


def duration(seconds: float) -> str:
    """Return a time for people: `42s`, `3m05s`, `2h07m`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def train_line(record: Record, plan: Plan) -> str:
    """Return the line of a training record."""
    loss = record["loss"]
    shown = f"{loss:.4f}" if loss is not None else "not finite"
    return (
        f"step {record['step']}/{plan.total_steps}  epoch {record['epoch']:.2f}  loss {shown}  "
        f"lr {record['lr']:.2e}  {record['images_per_s']:.1f} images/s  "
        f"data wait {record['data_wait']:.0%}  left {duration(record['eta_s'])}"
    )


def validation_line(record: Record, scores: Sequence[Score], is_best: bool) -> str:
    """Return the line of a validation record."""
    mark = "  (best)" if is_best else ""
    return f"val at step {record['step']}: {'  '.join(headlines(record, scores))}{mark}"


def headlines(record: Record, scores: Sequence[Score]) -> list[str]:
    """Return the scores of a validation that the log shows, e.g. ``mIoU 0.4778``."""
    lines = []
    for score in scores:
        if score.shown and score.key in record:
            value = record[score.key]
            half = record.get(score.interval) if score.interval else None
            lines.append(
                f"{score.name} {'–' if value is None else f'{value:.4f}'}"
                + ("" if half is None else f" ± {half:.4f}")
            )
    return lines


class LineLog(Hooks):
    """Writes a line for each record to `log.txt`, and passes it on.

    Args:
        run: the folder of `log.txt`.
        scores: of the task.
        say: called with each line too, e.g. to print it.
    """

    def __init__(
        self, run: RunFolder, scores: Sequence[Score], say: Say = lambda line: None
    ) -> None:
        self.run = run
        self.scores = scores
        self.say = say
        self.plan: Plan | None = None

    def write(self, line: str) -> None:
        """Write one line with the time of day."""
        stamp = time.strftime("%H:%M:%S")
        with self.run.log.open("a", encoding="utf-8") as file:
            file.write(f"{stamp}  {line}\n")
        self.say(line)

    def on_start(self, plan: Plan) -> None:
        self.plan = plan
        begun = f"going on at step {plan.start_step}" if plan.start_step else "training"
        self.write(
            f"{begun}: {plan.total_steps} steps, {plan.steps_per_epoch} an epoch, "
            f"batch {plan.batch_size}"
        )

    def on_log(self, record: Record) -> None:
        assert self.plan is not None
        self.write(train_line(record, self.plan))

    def on_validation(self, record: Record, is_best: bool) -> None:
        self.write(validation_line(record, self.scores, is_best))
