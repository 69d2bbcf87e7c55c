"""Records of a training in progress: metrics.jsonl, speed, and calls of the hooks."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
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
    """The best validation score so far; `value` is None before the first validation."""

    metric: str
    value: float | None = None
    step: int = 0


@dataclass(frozen=True)
class Totals:
    """Images and time of training so far, over all resumptions, without validation and saving.

    Attributes:
        images: images trained on.
        seconds: time in training.
        waited: part of `seconds` that the loop waited for data.
    """

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    @property
    def images_per_s(self) -> float:
        """Training throughput in images per second."""
        return self.images / max(self.seconds, 1e-9)

    @property
    def data_wait(self) -> float:
        """Fraction of the training time spent waiting for data."""
        return self.waited / max(self.seconds, 1e-9)


@dataclass
class _Window:
    """Running sums since the last training record.

    Attributes:
        scalars: sums of losses and other reported scalars, on the device until they are read.
        steps: number of steps in the sums.
        waited: seconds that the loop waited for data.
        earlier: seconds of training in this window before the run was resumed.
        paused: seconds since `started` that were not training.
        started: start time of the window, or of its part since the run was resumed.
    """

    scalars: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    waited: float = 0.0
    earlier: float = 0.0
    paused: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return self.earlier + time.perf_counter() - self.started - self.paused


class Recorder:
    """Accumulates running sums and writes records; only rank 0 writes and calls hooks.

    Args:
        run: the run folder, with metrics.jsonl.
        hooks: called with every record.
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
        """Start recording."""
        self.plan = plan
        if self.launcher.is_main:
            self.hooks.on_start(plan)
        self._window.started = time.perf_counter()

    def waited(self, seconds: float) -> None:
        """Add time that the loop waited for data."""
        self._window.waited += seconds

    def paused(self, seconds: float) -> None:
        """Add time that is not training: validation, saving, snapshots."""
        self._window.paused += seconds

    def add(self, scalars: dict[str, Tensor]) -> None:
        """Add a step's loss and the other scalars that its task reports, on the device."""
        sums = self._window.scalars
        for name, value in scalars.items():
            sums[name] = sums[name] + value if name in sums else value

    def step_done(self, step: int) -> None:
        """Count a completed step."""
        self._window.steps += 1
        if self.launcher.is_main:
            self.hooks.on_step(step)

    def log(self, step: int, lr: float, *, partial: bool = False) -> None:
        """Write a record of the steps since the last record, if there were any.

        Args:
            step: number of completed steps.
            lr: the learning rate.
            partial: the run stops between two records. The sums are kept: a resumed run replaces
                this record with that of the complete interval.
        """
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
        if partial:
            record["partial"] = True
        else:
            self._before, self._window = self.totals, _Window()
        self._write(record)
        if self.launcher.is_main:
            self.hooks.on_log(record)

    def validation(self, step: int, metrics: dict[str, Any], *, is_best: bool) -> Record:
        """Write and return the record of a validation."""
        record = {"step": step, "epoch": self.plan.epoch_of(step), "split": "val", **metrics}
        self._write(record)
        if self.launcher.is_main:
            self.hooks.on_validation(record, is_best)
        return record

    @property
    def totals(self) -> Totals:
        """Images and time of training so far."""
        before, window = self._before, self._window
        if not window.steps:
            return before
        return Totals(
            before.images + window.steps * self.plan.batch_size,
            before.seconds + window.seconds,
            before.waited + window.waited,
        )

    def state(self) -> dict[str, Any]:
        """Return the totals and the running sums since the last record, for a checkpoint.

        The sums in `window` are means over the ranks, so that a run can resume with another number
        of ranks. Every rank must call this.
        """
        window = self._window
        ranks = self.launcher.world_size
        return {
            "totals": vars(self._before).copy(),
            "window": {
                "scalars": {
                    k: (self.launcher.sum(v) / ranks).cpu() for k, v in window.scalars.items()
                },
                "steps": window.steps,
                "waited": window.waited,
                "seconds": window.seconds if window.steps else 0.0,
            },
        }

    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Continue from the `state` in a checkpoint; older checkpoints have no `window`."""
        self._before = Totals(**checkpoint["totals"])
        window = checkpoint.get("window")
        if window is not None:
            device = self.launcher.device
            self._window = _Window(
                {name: value.to(device) for name, value in window["scalars"].items()},
                window["steps"],
                window["waited"],
                window["seconds"],
            )

    def _write(self, record: Record) -> None:
        if not self.launcher.is_main:
            return
        try:
            with self.run.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record, allow_nan=False) + "\n")
        except OSError as error:
            raise DlcvError(
                f"cannot write {self.run.metrics}: {error.strerror}",
                "the last good checkpoint stays intact: free disk space and continue with --resume",
            ) from error
