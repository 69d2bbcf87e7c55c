"""What a run says of itself while it trains: metrics.jsonl, speeds, and the hooks that listen."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from dlcvcli.engine.hooks import Hooks, Plan, Record
from dlcvcli.engine.launch import Launcher
from dlcvcli.errors import DlcvError
from dlcvcli.runs import RunFolder


@dataclass
class Best:
    """The best validation so far; `value` is None before the first."""

    metric: str
    value: float | None = None
    step: int = 0

    def beaten_by(self, value: float | None) -> bool:
        """Return whether a new value is strictly better (higher)."""
        return value is not None and (self.value is None or value > self.value)


@dataclass(frozen=True)
class Totals:
    """What was trained so far, over all resumptions; validation and saving left out.

    Attributes:
        images: seen.
        seconds: in training.
        waited: seconds thereof in which the loop waited for data.
    """

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    @property
    def images_per_s(self) -> float:
        """Images per second of training."""
        return self.images / max(self.seconds, 1e-9)

    @property
    def data_wait(self) -> float:
        """Share of the training time spent waiting for data."""
        return self.waited / max(self.seconds, 1e-9)


@dataclass
class _Window:
    """Running sums since the last log line; `scalars` stay on the device until they are read."""

    scalars: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    waited: float = 0.0
    paused: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began - self.paused


class Recorder:
    """Keeps the running sums of a run and writes its records; only rank 0 writes and calls hooks.

    Args:
        run: whose metrics.jsonl is written.
        hooks: told of every record.
        launcher: this rank.
    """

    def __init__(self, run: RunFolder, hooks: Hooks, launcher: Launcher) -> None:
        self.run = run
        self.hooks = hooks
        self.launcher = launcher
        self.plan: Plan
        self._before = Totals()
        self._window = _Window()

    def start(self, plan: Plan) -> None:
        """Begin to record."""
        self.plan = plan
        if self.launcher.is_main:
            self.hooks.on_start(plan)
        self._window = _Window()

    def waited(self, seconds: float) -> None:
        """Note time in which the loop waited for data."""
        self._window.waited += seconds

    def paused(self, seconds: float) -> None:
        """Note time that is not training: validation, saving, snapshots."""
        self._window.paused += seconds

    def add(self, scalars: dict[str, Tensor]) -> None:
        """Add a step's loss and what its task reports: scalars on the device."""
        sums = self._window.scalars
        for name, value in scalars.items():
            sums[name] = sums[name] + value if name in sums else value

    def step_done(self, step: int) -> None:
        """Note a finished step."""
        self._window.steps += 1
        if self.launcher.is_main:
            self.hooks.on_step(step)

    def log(self, step: int, lr: float) -> None:
        """Write the record of the steps since the last one; nothing where there were none."""
        window, plan = self._window, self.plan
        if not window.steps:
            return
        sums = torch.stack([value.double() for value in window.scalars.values()])
        means = self.launcher.sum(sums / window.steps / self.launcher.world_size).tolist()
        seconds = max(window.seconds, 1e-9)
        record: Record = {
            "step": step,
            "epoch": plan.epoch_of(step),
            "split": "train",
            **{
                name: mean if math.isfinite(mean) else None
                for name, mean in zip(window.scalars, means, strict=True)
            },
            "lr": lr,
            "images_per_s": round(window.steps * plan.batch_size / seconds, 3),
            "data_wait": round(window.waited / seconds, 4),
            "eta_s": round((plan.total_steps - step) * seconds / window.steps, 1),
        }
        self.close_window()
        self._write(record)
        if self.launcher.is_main:
            self.hooks.on_log(record)

    def validation(self, step: int, metrics: dict[str, Any], *, is_best: bool) -> Record:
        """Write the record of a validation, and return it."""
        record = {"step": step, "epoch": self.plan.epoch_of(step), "split": "val", **metrics}
        self._write(record)
        if self.launcher.is_main:
            self.hooks.on_validation(record, is_best)
        return record

    def close_window(self) -> None:
        """Add the running sums to the session's, and begin new ones."""
        self._before = self.totals
        self._window = _Window()

    @property
    def totals(self) -> Totals:
        """What was trained so far."""
        before, window = self._before, self._window
        if not window.steps:
            return before
        return Totals(
            before.images + window.steps * self.plan.batch_size,
            before.seconds + window.seconds,
            before.waited + window.waited,
        )

    def go_on_from(self, totals: Totals) -> None:
        """Take over what earlier sessions of the run trained."""
        self._before = totals

    def _write(self, record: Record) -> None:
        if not self.launcher.is_main:
            return
        try:
            with self.run.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")
        except OSError as error:
            raise DlcvError(
                f"cannot write {self.run.metrics}: {error.strerror}",
                "the last good checkpoint stays; make room and go on with --resume",
            ) from error
