"""The one training loop, for every task.

Inside, steps only. What happens when (log, validate, save, snapshot) is a predicate on the step;
what a step computes is a function of the step, the seed and the weights. So a run that was killed
goes on to the same weights, and neither a validation nor a figure can change training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from dlcvcli import __version__
from dlcvcli.config.schema import DEFAULT_EPOCHS, RunSettings
from dlcvcli.engine.checkpoint import (
    Checkpoint,
    keep_numbered,
    link_checkpoint,
    save_checkpoint,
)
from dlcvcli.engine.hooks import Hooks, Plan, Record
from dlcvcli.engine.launch import Launcher
from dlcvcli.engine.optim import build_optimizer, rate_factor, set_rate
from dlcvcli.engine.recorder import Best, Recorder
from dlcvcli.engine.stopping import StopWish
from dlcvcli.errors import CheckpointError, NonFiniteLoss, UsageError
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.base import Batch, Task

Validate = Callable[[Task], dict[str, Any]]


class StepSource(Protocol):
    """Where the batch of any step comes from."""

    @property
    def plan(self) -> Any:
        """The `BatchPlan` behind it."""

    def steps(
        self, start: int, stop: int, *, rank: int, world_size: int, workers: int | None = None
    ) -> Generator[Batch]:
        """Yield this rank's batch of each step."""


@dataclass(frozen=True)
class FitResult:
    """How training ended.

    Attributes:
        step, total_steps: steps done, steps planned.
        plan: what was trained.
        ended: whether it finished, ran out of `--max-time`, or was told to stop by a signal.
        signal: the signal's number, 0 without one.
        best: the best validation.
        last: the last validation's record, if any.
        seconds: wall time in training, over all resumptions.
        images_per_s, data_wait: of this session, validation and saving left out; `data_wait` is
            the share of the time in which the loop waited for data.
    """

    step: int
    total_steps: int
    plan: Plan
    ended: Literal["finished", "max_time", "signal"]
    signal: int
    best: Best
    last: Record | None
    seconds: float
    images_per_s: float
    data_wait: float


def total_steps(settings: RunSettings, steps_per_epoch: int) -> int:
    """Return the length of a run in steps."""
    if settings.train.steps is not None:
        return settings.train.steps
    return (settings.train.epochs or DEFAULT_EPOCHS) * steps_per_epoch


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed dropout and the like of one step, so that there is no generator state to save."""
    state = np.random.SeedSequence((seed, step, rank)).generate_state(1, np.uint64)
    torch.manual_seed(int(state[0]) >> 1)


def fit(
    task: Task,
    source: StepSource,
    settings: RunSettings,
    *,
    launcher: Launcher,
    run: RunFolder,
    hooks: Hooks,
    validate: Validate | None = None,
    monitor: str = "miou",
    data: dict[str, Any] | None = None,
    resume: Checkpoint | None = None,
) -> FitResult:
    """Train a task to the end of its run, or until it is told to stop.

    Args:
        task: what is trained; on any device, moved to the launcher's.
        source: the batches.
        settings: of the run.
        launcher: this rank.
        run: where metrics and checkpoints go.
        hooks: progress, snapshots and the like; called on rank 0.
        validate: returns the validation metrics, the same on every rank.
        monitor: the metric by which `best` is chosen; higher is better.
        data: what the checkpoint keeps of the data, as plain types (classes, fingerprints).
        resume: a checkpoint to go on from.

    Raises:
        NonFiniteLoss: the loss became infinite or not a number; the batch is saved.
        CheckpointError: a checkpoint cannot be written, or does not fit the task.
        DataError: a sample cannot be read.
    """
    loop = _Loop(task, source, settings, launcher, run, hooks, validate, Best(monitor), data or {})
    if resume is not None:
        loop.restore(resume)
    with StopWish(settings.train.max_time) as wish:
        try:
            return loop.run_to_end(wish)
        finally:
            if launcher.is_main:
                hooks.on_end(loop.step)


class _Loop:
    def __init__(
        self,
        task: Task,
        source: StepSource,
        settings: RunSettings,
        launcher: Launcher,
        run: RunFolder,
        hooks: Hooks,
        validate: Validate | None,
        best: Best,
        data: dict[str, Any],
    ) -> None:
        self.task = task
        self.source = source
        self.settings = settings
        self.launcher = launcher
        self.run = run
        self.hooks = hooks
        self.validate = validate
        self.best = best
        self.data = data

        train, plan = settings.train, source.plan
        self.total = total_steps(settings, plan.steps_per_epoch)
        self.val_every = train.val_every or plan.steps_per_epoch
        self.save_every = train.save_every or self.val_every
        # On a CPU a look at the loss costs nothing; on a GPU it would stall the queue.
        self.poll_every = 1 if launcher.device.type == "cpu" else train.log_every
        self.parts = settings.optim.accumulate
        share = plan.batch_size // launcher.world_size
        if share % self.parts:
            raise UsageError(
                f"the batch of {share} per rank cannot be split into {self.parts} equal parts",
                "choose optim.accumulate so that it divides --batch-size",
            )
        self.step = 0
        self.saved_step = -1
        self.last: Record | None = None
        self.seconds_before = 0.0
        self.began = time.perf_counter()
        self.optimizer = build_optimizer(task.parameter_groups(), settings.optim)
        self.wrapped, self.stepper = launcher.setup(task, self.optimizer)
        self.bad_step = torch.full((), -1, device=launcher.device)
        self.recorder = Recorder(run, hooks, launcher)

    # -- state ---------------------------------------------------------------------------------

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take over weights, optimiser, step and best of a checkpoint."""
        try:
            self.task.load_state_dict(checkpoint["task"])
            self.optimizer.load_state_dict(checkpoint["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"the checkpoint of {self.run.path} does not fit the model of its settings"
            ) from error
        self.launcher.scaler_state = checkpoint.get("scaler", {})
        self.step = self.saved_step = int(checkpoint["step"])
        self.best = Best(**checkpoint["best"])
        self.last = checkpoint.get("last")
        self.seconds_before = float(checkpoint.get("seconds", 0.0))
        if self.launcher.is_main:
            self.run.cut_metrics(self.step)

    def state(self) -> Checkpoint:
        """Return everything that a run needs to go on, as tensors and plain types."""
        return {
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.launcher.scaler_state,
            "step": self.step,
            "best": vars(self.best).copy(),
            "last": self.last,
            "seconds": self._seconds(),
            "config": self.settings.model_dump(mode="json"),
            "data": self.data,
            "versions": {
                "dlcv": __version__,
                "torch": str(torch.__version__),
                "numpy": np.__version__,
            },
        }

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.began

    # -- the loop ------------------------------------------------------------------------------

    def run_to_end(self, wish: StopWish) -> FitResult:
        source = self.source.plan
        plan = Plan(self.step, self.total, source.steps_per_epoch, source.batch_size)
        self.recorder.start(plan)
        if self.step == 0:
            self._snapshot()
        self.task.train()
        rank, ranks = self.launcher.rank, self.launcher.world_size
        with closing(self.source.steps(self.step, self.total, rank=rank, world_size=ranks)) as data:
            stopped = False
            while self.step < self.total and not stopped:
                asked = time.perf_counter()
                batch = next(data)
                self.recorder.waited(time.perf_counter() - asked)
                self._train_step(batch)
                self.step += 1
                self.recorder.step_done(self.step)
                stopped = self._after_step(wish)
        self.recorder.close_window()
        if self.saved_step != self.step:
            self._save()
        signal = wish.signal or 0
        done = self.step >= self.total
        return FitResult(
            step=self.step,
            total_steps=self.total,
            plan=plan,
            ended="finished" if done else "signal" if signal else "max_time",
            signal=0 if done else signal,
            best=self.best,
            last=self.last,
            seconds=self._seconds(),
            images_per_s=self.recorder.images_per_s,
            data_wait=self.recorder.data_wait,
        )

    def _train_step(self, batch: Batch) -> None:
        train, optim = self.settings.train, self.settings.optim
        launcher = self.launcher
        seed_step(train.seed, self.step, launcher.rank)
        factor = rate_factor(self.step, self.total, self.settings.schedule, optim.lr)
        set_rate(self.optimizer, optim.lr * factor)
        batch = launcher.move(batch)
        # Gradients are averaged over the ranks; the terms of the global batch must be divided by
        # their number over all ranks and parts.
        normaliser = launcher.sum(self.task.count_terms(batch)) / launcher.world_size
        loss = torch.zeros((), device=launcher.device)
        for index, part in enumerate(_split(batch, self.parts)):
            with launcher.no_sync(self.wrapped, enabled=index < self.parts - 1):
                outcome = self.wrapped(part, normaliser)
                launcher.backward(outcome["loss"])
            loss += outcome["loss"].detach()
        self._note_loss(loss)
        if optim.clip_norm is not None:
            launcher.clip(self.wrapped, self.stepper, optim.clip_norm)
        self.stepper.step()
        self.stepper.zero_grad(set_to_none=True)
        self.task.after_step(self.step, self.total)

    def _note_loss(self, loss: Tensor) -> None:
        """Add a loss to the running sum, and remember on the device if it is not finite."""
        self.recorder.add_loss(loss)
        first = (self.bad_step < 0) & ~torch.isfinite(loss)
        self.bad_step = torch.where(first, self.step, self.bad_step)
        if self.poll_every == 1 and self.launcher.world_size == 1:
            # Before the optimiser step, so that the weights stay good.
            self._refuse_bad_loss(int(self.bad_step))

    def _after_step(self, wish: StopWish) -> bool:
        """Log, validate, save and look, where they are due; return whether to stop."""
        train = self.settings.train
        ended = self.step >= self.total
        validates = self.step % self.val_every == 0 or ended
        saves = self.step % self.save_every == 0
        snapshot = self.hooks.wants_snapshot(self.step)
        stopped = False
        due = self.step % self.poll_every == 0 or ended or validates or saves
        if due or (self.launcher.world_size == 1 and wish.wished):
            stopped = self._poll(wish) and not ended
        if self.step % train.log_every == 0 or ended or stopped:
            self.recorder.log(self.step, self.optimizer.param_groups[-1]["lr"])
        began = time.perf_counter()
        improved = self._validate() if validates and self.validate is not None else False
        if saves or ended or improved:
            self._save(improved)
        if snapshot:
            self._snapshot()
        self.recorder.paused(time.perf_counter() - began)
        return stopped

    def _poll(self, wish: StopWish) -> bool:
        """Agree with the other ranks on whether the loss was sound and whether to stop."""
        mine = torch.tensor(
            [wish.wished, wish.signal or 0], dtype=torch.int64, device=self.launcher.device
        )
        state = self.launcher.largest(torch.cat([self.bad_step[None], mine]))
        bad, stop, signal = state.tolist()
        self._refuse_bad_loss(bad)
        wish.signal = signal or None
        return bool(stop)

    def _refuse_bad_loss(self, step: int) -> None:
        if step < 0:
            return
        saved = self.run.path / f"nonfinite-step-{step + 1}.pt"
        launcher = self.launcher
        # The batch of any step can be made again; it need not have been kept.
        batch = next(
            self.source.steps(
                step, step + 1, rank=launcher.rank, world_size=launcher.world_size, workers=0
            )
        )
        if launcher.is_main:
            torch.save(batch, saved)
        raise NonFiniteLoss(
            f"the loss is not finite at step {step + 1}; the batch is saved as {saved}",
            "lower --lr, clip with --set optim.clip_norm=1, or train with --precision fp32; "
            "checkpoints saved before are sound",
        )

    # -- what is due after a step --------------------------------------------------------------

    def _validate(self) -> bool:
        assert self.validate is not None
        if self.launcher.is_main:
            self.hooks.on_validation_start(self.step)
        self.task.eval()
        with torch.inference_mode(), self.launcher.autocast():
            metrics = self.validate(self.task)
        self.task.train()
        improved = self.best.beaten_by(metrics.get(self.best.metric))
        if improved:
            self.best = Best(self.best.metric, metrics[self.best.metric], self.step)
        self.last = self.recorder.validation(self.step, metrics, is_best=improved)
        return improved

    def _save(self, improved: bool = False) -> None:
        if self.launcher.is_main:
            save_checkpoint(self.run.last, self.state())
            if improved:
                link_checkpoint(self.run.last, self.run.best)
            keep_numbered(self.run.checkpoints, self.run.last, self.step, self.settings.train.keep)
            self.hooks.on_save(self.step)
        self.saved_step = self.step

    def _snapshot(self) -> None:
        if not (self.launcher.is_main and self.hooks.wants_snapshot(self.step)):
            return
        self.task.eval()
        with torch.inference_mode(), self.launcher.autocast():
            self.hooks.on_snapshot(self.step, self.task)
        self.task.train()


def _split(batch: Batch, parts: int) -> list[Batch]:
    if parts == 1:
        return [batch]
    chunks = {key: value.chunk(parts) for key, value in batch.items()}
    return [{key: chunks[key][index] for key in batch} for index in range(parts)]
