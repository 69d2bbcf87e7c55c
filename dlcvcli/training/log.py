"""Records of a run as readable lines, for `log.txt` and the console."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from dlcvcli.engine.hooks import Hooks, Plan, Record
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score

Say = Callable[[str], None]


def duration(seconds: float) -> str:
    """Return a time as readable text: `42s`, `3m05s`, `2h07m`."""
    total = round(seconds)
    if total < 60:
        return f"{total}s"
    if total < 3600:
        return f"{total // 60}m{total % 60:02d}s"
    return f"{total // 3600}h{total % 3600 // 60:02d}m"


def train_line(record: Record, plan: Plan) -> str:
    """Return the log line of a training record."""
    loss = record["loss"]
    shown = f"{loss:.4f}" if loss is not None else "not finite"
    return (
        f"step {record['step']}/{plan.total_steps}  epoch {record['epoch']:.2f}  loss {shown}  "
        f"lr {record['lr']:.2e}  {record['images_per_s']:.1f} images/s  "
        f"data wait {record['data_wait']:.0%}  left {duration(record['eta_s'])}"
    )


def validation_line(record: Record, scores: Sequence[Score], is_best: bool) -> str:
    """Return the log line of a validation record."""
    mark = "  (best)" if is_best else ""
    return f"val at step {record['step']}: {'  '.join(score_texts(record, scores))}{mark}"


def score_texts(record: Record, scores: Sequence[Score]) -> list[str]:
    """Return the validation scores for the log, e.g. ``mIoU 0.4778``."""
    texts = []
    for score in scores:
        if score.shown and score.key in record:
            value = record[score.key]
            half = record.get(score.interval) if score.interval else None
            texts.append(
                f"{score.name} {'–' if value is None else f'{value:.4f}'}"
                + ("" if half is None else f" ± {half:.4f}")
            )
    return texts


class LineLog(Hooks):
    """Writes a line for each record to `log.txt`.

    Args:
        run: the folder for `log.txt`.
        scores: the scores of the task.
        say: also called with each line, e.g. to print it.
    """

    def __init__(
        self, run: RunFolder, scores: Sequence[Score], say: Say = lambda line: None
    ) -> None:
        self.run = run
        self.scores = scores
        self.say = say
        self.plan: Plan | None = None

    def write(self, line: str) -> None:
        """Write one line, with the time of day."""
        stamp = time.strftime("%H:%M:%S")
        with self.run.log.open("a", encoding="utf-8") as file:
            file.write(f"{stamp}  {line}\n")
        self.say(line)

    def on_start(self, plan: Plan) -> None:
        self.plan = plan
        start = f"resuming at step {plan.start_step}" if plan.start_step else "training"
        self.write(
            f"{start}: {plan.total_steps} steps, {plan.steps_per_epoch} per epoch, "
            f"batch size {plan.batch_size}"
        )

    def on_log(self, record: Record) -> None:
        assert self.plan is not None
        self.write(train_line(record, self.plan))

    def on_validation(self, record: Record, is_best: bool) -> None:
        self.write(validation_line(record, self.scores, is_best))
