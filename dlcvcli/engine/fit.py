"""The training loop of every task.

The loop counts steps. The step number alone decides when to log, validate, save and take a
snapshot, and the result of a step depends on the step, the seed and the weights only. Hence a
killed run resumes to the same weights, and neither validation nor figures can change training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dlcvcli import __version__
from dlcvcli.config.schema import DEFAULT_EPOCHS, RunSettings
from dlcvcli.engine.checkpoint import Checkpoint, keep_numbered, link_checkpoint, save_checkpoint
from dlcvcli.engine.hooks import Hooks, Plan, Record
from dlcvcli.engine.launch import Launcher
from dlcvcli.engine.optim import build_optimizer, lr_factor, set_lr
from dlcvcli.engine.recorder import Best, Recorder
from dlcvcli.engine.result import FitResult
from dlcvcli.engine.soundness import LossWatch, raise_non_finite_loss, require_finite_weights
from dlcvcli.engine.stopping import StopRequest
from dlcvcli.engine.task import Batch, Task
from dlcvcli.errors import CheckpointError
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score

Validate = Callable[[Task, Callable[[], bool]], dict[str, Any] | None]
"""Returns a task's validation metrics, equal on all ranks; None if it stopped early because the
second argument (whether to stop) returned true on some rank."""


class StepSource(Protocol):
    """Provides the batch of each step."""

    @property
    def plan(self) -> Any:
        """The `BatchPlan` of the batches."""

    def steps(
        self, start: int, stop: int, *, rank: int, world_size: int, workers: int | None = None
    ) -> Generator[Batch]:
        """Yield this rank's batch of each step."""


def total_steps(settings: RunSettings, steps_per_epoch: int) -> int:
    """Return the number of steps of a run."""
    if settings.train.steps is not None:
        return settings.train.steps
    return (settings.train.epochs or DEFAULT_EPOCHS) * steps_per_epoch


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed dropout and other randomness of one step, so that no generator state is saved."""
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
    monitor: Score,
    validate: Validate | None = None,
    data: dict[str, Any] | None = None,
    resume: Checkpoint | None = None,
) -> FitResult:
    """Train a task until its last step or a request to stop.

    Args:
        task: the task to train; it is moved to the launcher's device.
        source: provides the batches.
        settings: settings of the run.
        launcher: this rank.
        run: folder for metrics and checkpoints.
        hooks: progress bar, snapshots and other callbacks; called on rank 0.
        monitor: the score that selects the best checkpoint.
        validate: see `Validate`; None: no validation.
        data: description of the data (classes, fingerprints) for the checkpoint, as plain types.
        resume: the checkpoint to continue from.

    Raises:
        NonFiniteLoss: the loss became infinite or not a number; the batch is saved.
        CheckpointError: a checkpoint cannot be written, or does not fit the task.
        UsageError: the batch cannot be split evenly over ranks and accumulation parts.
        DataError: a sample cannot be read.
    """
    loop = _Loop(task, source, settings, launcher, run, hooks, monitor, validate, data or {})
    if resume is not None:
        loop.restore(resume)
    with StopRequest(settings.train.max_time) as stop:
        return loop.run_to_end(stop)


class _Loop:
    def __init__(
        self,
        task: Task,
        source: StepSource,
        settings: RunSettings,
        launcher: Launcher,
        run: RunFolder,
        hooks: Hooks,
        monitor: Score,
        validate: Validate | None,
        data: dict[str, Any],
    ) -> None:
        self.task = task
        self.source = source
        self.settings = settings
        self.launcher = launcher
        self.run = run
        self.hooks = hooks
        self.validate = validate
        self.monitor = monitor
        self.best = Best(monitor.key)
        self.data = data

        train, plan = settings.train, source.plan
        self.total = total_steps(settings, plan.steps_per_epoch)
        self.val_every = train.val_every or plan.steps_per_epoch
        self.save_every = train.save_every or self.val_every
        # Reading the loss costs nothing on a CPU; on a GPU it would stall the queue.
        self.poll_every = 1 if launcher.device.type == "cpu" else train.log_every
        self.parts = settings.optim.accumulate
        settings.require_even_split(launcher.world_size)
        self.step = 0
        self.saved_step = -1
        self.last: Record | None = None
        self.seconds_before = 0.0
        self.started = time.perf_counter()
        self.optimizer = build_optimizer(task.parameter_groups(), settings.optim)
        self.wrapped, self.stepper = launcher.setup(task, self.optimizer)
        self.watch = LossWatch(launcher.device, self.total)
        self.recorder = Recorder(run, hooks, launcher)

    # -- state ---------------------------------------------------------------------------------

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore weights, optimiser, step and best score from a checkpoint."""
        try:
            self.task.load_state_dict(checkpoint["task"])
            self.optimizer.load_state_dict(checkpoint["optimizer"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(
                f"the checkpoint of {self.run.path} does not fit the model in its settings"
            ) from error
        self.launcher.scaler_state = checkpoint["scaler"]
        self.step = int(checkpoint["step"])
        if checkpoint["config"] == self.settings.model_dump(mode="json"):
            self.saved_step = self.step
        self.best = Best(**checkpoint["best"])
        self.last = checkpoint["last"]
        self.seconds_before = checkpoint["seconds"]
        self.recorder.restore(checkpoint)
        if self.launcher.is_main:
            self.run.drop_metrics_after(self.step)
            if self.best.value is not None and self.best.step == self.step:
                # A run that was killed between saving `last` and linking `best` lacks `best`.
                link_checkpoint(self.run.last, self.run.best)

    def state(self, recorded: dict[str, Any]) -> Checkpoint:
        """Return everything that resuming needs, as tensors and plain types.

        Args:
            recorded: see `Recorder.state`.
        """
        return {
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.launcher.scaler_state,
            "step": self.step,
            "best": vars(self.best).copy(),
            "last": self.last,
            "seconds": self._seconds(),
            **recorded,
            "config": self.settings.model_dump(mode="json"),
            "data": self.data,
            "versions": {
                "dlcv": __version__,
                "torch": str(torch.__version__),
                "numpy": np.__version__,
            },
        }

    def _seconds(self) -> float:
        return self.seconds_before + time.perf_counter() - self.started

    # -- the loop ------------------------------------------------------------------------------

    def run_to_end(self, stop: StopRequest) -> FitResult:
        source = self.source.plan
        plan = Plan(self.step, self.total, source.steps_per_epoch, source.batch_size)
        self.recorder.start(plan)
        if self.saved_step != self.step:
            # Makes a new run resumable from its first step, and stores changed settings.
            self._save()
        if self.step == 0:
            self._snapshot()
        # A signal may have interrupted the validation that was due at this step.
        stopped = self._validation_due and not self._validate_and_save(stop)
        stopped = stopped or self._out_of_patience
        self.task.train()
        rank, ranks = self.launcher.rank, self.launcher.world_size
        with closing(self.source.steps(self.step, self.total, rank=rank, world_size=ranks)) as data:
            while self.step < self.total and not stopped:
                wait_start = time.perf_counter()
                batch = next(data)
                self.recorder.waited(time.perf_counter() - wait_start)
                self._train_step(batch)
                self.step += 1
                self.recorder.step_done(self.step)
                stopped = self._after_step(stop)
        done = (self.step >= self.total or self._out_of_patience) and not self._validation_due
        self._log(partial=not done)
        if self.saved_step != self.step:
            started = time.perf_counter()
            self._save()
            self.recorder.paused(time.perf_counter() - started)
        signal = 0 if done else stop.signal or 0
        return FitResult(
            step=self.step,
            total_steps=self.total,
            plan=plan,
            ended="finished" if done else "signal" if signal else "max_time",
            signal=signal,
            best=self.best,
            last=self.last,
            seconds=self._seconds(),
            totals=self.recorder.totals,
        )

    def _train_step(self, batch: Batch) -> None:
        train, optim = self.settings.train, self.settings.optim
        launcher = self.launcher
        seed_step(train.seed, self.step, launcher.rank)
        factor = lr_factor(self.step, self.total, self.settings.schedule, optim.lr)
        set_lr(self.optimizer, optim.lr * factor)
        batch = launcher.move(batch)
        # DDP averages gradients over the ranks; dividing by their number here gives the gradient of
        # the mean over the global batch, with all its ranks and parts.
        normaliser = launcher.sum(self.task.count_terms(batch)) / launcher.world_size
        loss = torch.zeros((), device=launcher.device)
        reported: dict[str, Tensor] = {}
        for index, part in enumerate(_split(batch, self.parts)):
            with launcher.no_sync(self.wrapped, enabled=index < self.parts - 1):
                outcome = self.wrapped(part, normaliser)
                launcher.backward(outcome["loss"])
            loss += outcome["loss"].detach()
            for name, value in outcome["log"].items():
                reported[name] = reported.get(name, 0.0) + value / self.parts
        self.recorder.add({"loss": loss, **reported})
        self.watch.note(self.step, loss)
        if self.poll_every == 1 and launcher.world_size == 1:
            # Checked before the optimiser step, so that the weights stay finite.
            self._refuse_bad_loss(int(self.watch.first))
        if optim.clip_norm is not None:
            launcher.clip(self.wrapped, self.stepper, optim.clip_norm)
        self.stepper.step()
        self.stepper.zero_grad(set_to_none=True)
        self.task.after_step(self.step, self.total)

    def _after_step(self, stop: StopRequest) -> bool:
        """Log, validate, save and take a snapshot if due; return whether to stop."""
        train = self.settings.train
        ended = self.step >= self.total
        saves = self.step % self.save_every == 0
        stopped = False
        due = self.step % self.poll_every == 0 or ended or saves or self._validation_due
        if due or (self.launcher.world_size == 1 and stop.requested):
            stopped = self._poll(stop)
        if self.step % train.log_every == 0 or ended:
            self._log()
        started = time.perf_counter()
        if self._validation_due:
            stopped = not self._validate_and_save(stop) or stopped or self._out_of_patience
        if self.saved_step != self.step and (saves or ended):
            self._save()
        self._snapshot()
        self.recorder.paused(time.perf_counter() - started)
        return stopped

    def _log(self, *, partial: bool = False) -> None:
        self.recorder.log(self.step, self.optimizer.param_groups[-1]["lr"], partial=partial)

    def _poll(self, stop: StopRequest) -> bool:
        """Agree with the other ranks on whether all losses are finite and whether to stop."""
        own = torch.tensor(
            [stop.requested, stop.signal or 0], dtype=torch.int64, device=self.launcher.device
        )
        # The first non-finite step of any rank counts: the gradients carry it to the other ranks.
        state = self.launcher.max(torch.cat([-self.watch.first[None], own]))
        bad, requested, signal = state.tolist()
        self._refuse_bad_loss(-bad)
        stop.signal = signal or None
        return bool(requested)

    def _refuse_bad_loss(self, step: int) -> None:
        if step >= self.total:
            return
        # The batch of any step can be read again, here with the images of all ranks.
        batch = next(self.source.steps(step, step + 1, rank=0, world_size=1, workers=0))
        file = self.run.path / f"nonfinite-step-{step + 1}.pt" if self.launcher.is_main else None
        raise_non_finite_loss(step + 1, batch, file)

    # -- what is due after a step --------------------------------------------------------------

    @property
    def _validation_due(self) -> bool:
        """Whether a validation is due at this step and not done yet."""
        due = self.step > 0 and (self.step % self.val_every == 0 or self.step == self.total)
        done = self.last is not None and self.last["step"] == self.step
        return self.validate is not None and due and not done

    @property
    def _out_of_patience(self) -> bool:
        """Whether none of the last `patience` validations improved the score."""
        patience = self.settings.train.patience
        if patience is None or self.best.value is None:
            return False
        return self.step - self.best.step >= patience * self.val_every

    def _validate_and_save(self, stop: StopRequest) -> bool:
        """Validate, and save if the score improved; return False if validation was interrupted."""
        assert self.validate is not None
        if self.launcher.is_main:
            self.hooks.on_validation_start(self.step)
        self.task.eval()
        self.launcher.broadcast_buffers(self.task)
        with torch.inference_mode(), self.launcher.autocast():
            metrics = self.validate(self.task, lambda: stop.signal is not None)
        self.task.train()
        if metrics is None:
            # The signal may not have reached every rank.
            self._poll(stop)
            return False
        improved = self.monitor.is_better(metrics.get(self.monitor.key), self.best.value)
        if improved:
            self.best = Best(self.monitor.key, metrics[self.monitor.key], self.step)
        self.last = self.recorder.validation(self.step, metrics, is_best=improved)
        if improved:
            self._save()
            if self.launcher.is_main:
                link_checkpoint(self.run.last, self.run.best)
        return True

    def _save(self) -> None:
        require_finite_weights(self.task, self.step)
        recorded = self.recorder.state()
        if self.launcher.is_main:
            save_checkpoint(self.run.last, self.state(recorded))
            keep_numbered(self.run.checkpoints, self.run.last, self.step, self.settings.train.keep)
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
