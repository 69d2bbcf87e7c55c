"""What a run says of itself while it trains: metrics.jsonl, speeds, and the hooks that listen."""

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
    """The best validation so far; `value` is None before the first."""

    metric: str
    value: float | None = None
    step: int = 0


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
    """Running sums since the last training record.

    Attributes:
        scalars: sums of losses and the like, scalars; on the device until they are read.
        steps: how many were added.
        waited: seconds thereof in which the loop waited for data.
        earlier: seconds that an earlier session of the run trained in this window.
        paused: seconds of this session that were not training.
        began: when this session's part began.
    """

    scalars: dict[str, Tensor] = field(default_factory=dict)
    steps: int = 0
    waited: float = 0.0
    earlier: float = 0.0
    paused: float = 0.0
    began: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        return self.earlier + time.perf_counter() - self.began - self.paused


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
        self._window.began = time.perf_counter()

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

    def log(self, step: int, lr: float, *, partial: bool = False) -> None:
        """Write the record of the steps since the last one; nothing where there were none.

        Args:
            step: the step's number.
            lr: the learning rate.
            partial: the run stops between two records. The sums go on: a resumed run replaces this
                record by the one of the complete interval.
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
        """Write the record of a validation, and return it."""
        record = {"step": step, "epoch": self.plan.epoch_of(step), "split": "val", **metrics}
        self._write(record)
        if self.launcher.is_main:
            self.hooks.on_validation(record, is_best)
        return record

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

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: the totals, and the running sums since the last record.

        `window` holds the sums as means over the ranks, so that another number of ranks can go on
        with them. Every rank has to call this.
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
        """Go on from the `state` in a checkpoint; older ones have no `window`."""
        self._before = Totals(**checkpoint["totals"])
        kept = checkpoint.get("window")
        if kept is not None:
            device = self.launcher.device
            self._window = _Window(
                {name: value.to(device) for name, value in kept["scalars"].items()},
                kept["steps"],
                kept["waited"],
                kept["seconds"],
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
                "the last good checkpoint stays; make room and go on with --resume",
            ) from error
