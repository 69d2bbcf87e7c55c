"""The progress bar of a training run on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dlcvcli.cli.console import fraction, stderr
from dlcvcli.engine.hooks import Hooks, Plan, Record
from dlcvcli.scores import Score
from dlcvcli.training.log import score_texts


class LiveView(Hooks):
    """A progress bar over all steps, with the latest loss, throughput and validation score."""

    def __init__(self, scores: Sequence[Score]) -> None:
        self._scores = scores
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=stderr(),
            expand=True,
        )
        self._task: TaskID | None = None
        self._loss = ""
        self._val = ""

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def print(self, line: str) -> None:
        """Write a line above the bar."""
        self._progress.console.print(line, markup=False, soft_wrap=True)

    def on_start(self, plan: Plan) -> None:
        self._task = self._progress.add_task(
            "training", total=plan.total_steps, completed=plan.start_step, note=""
        )

    def on_step(self, step: int) -> None:
        assert self._task is not None
        self._progress.update(self._task, completed=step, description="training")

    def on_log(self, record: Record) -> None:
        self._loss = (
            f"loss {fraction(record['loss'])}  {record['images_per_s']:.1f} images/s  "
            f"data wait {record['data_wait']:.0%}"
        )
        self._show()

    def on_validation_start(self, step: int) -> None:
        assert self._task is not None
        self._progress.update(self._task, description="validating")

    def on_validation(self, record: Record, is_best: bool) -> None:
        self._val = f"  {score_texts(record, self._scores)[0]}{' (best)' if is_best else ''}"
        self._show()

    def _show(self) -> None:
        assert self._task is not None
        self._progress.update(self._task, note=self._loss + self._val)
