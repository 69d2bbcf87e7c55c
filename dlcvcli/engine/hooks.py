"""Callbacks for the caller of the engine, which itself neither prints nor draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlcvcli.engine.task import Task

Record = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The steps of a run and its batch size.

    Attributes:
        start_step: steps that are already done; 0 for a new run.
        total_steps: steps of the complete run.
        steps_per_epoch: full batches in an epoch.
        batch_size: global batch size.
    """

    start_step: int
    total_steps: int
    steps_per_epoch: int
    batch_size: int

    def epoch_of(self, step: int) -> float:
        """Return the number of epochs in `step` steps; an integer at the end of an epoch."""
        epochs = step / self.steps_per_epoch
        return int(epochs) if epochs.is_integer() else round(epochs, 4)


class Hooks:
    """Callbacks of the engine on rank 0; override the ones you need.

    `step` is the number of completed steps. Methods must not change the task.
    """

    def on_start(self, plan: Plan) -> None:
        """Handle the start of a new or resumed training."""

    def on_step(self, step: int) -> None:
        """Handle a completed step; called at every step, so it must be fast."""

    def on_log(self, record: Record) -> None:
        """Handle a training record that was written to metrics.jsonl."""

    def on_validation_start(self, step: int) -> None:
        """Handle the start of a validation."""

    def on_validation(self, record: Record, is_best: bool) -> None:
        """Handle a validation record that was written to metrics.jsonl."""

    def on_snapshot(self, step: int, task: Task) -> None:
        """Inspect the predictions of the task, in evaluation mode, after `step` steps.

        Called where `wants_snapshot` returns True: before the first step (0) or after any step.
        """

    def wants_snapshot(self, step: int) -> bool:
        """Return whether to call `on_snapshot` at `step`."""
        return False


class HookList(Hooks):
    """Calls several hooks in order."""

    def __init__(self, *hooks: Hooks) -> None:
        self.hooks = hooks

    def on_start(self, plan: Plan) -> None:
        for hook in self.hooks:
            hook.on_start(plan)

    def on_step(self, step: int) -> None:
        for hook in self.hooks:
            hook.on_step(step)

    def on_log(self, record: Record) -> None:
        for hook in self.hooks:
            hook.on_log(record)

    def on_validation_start(self, step: int) -> None:
        for hook in self.hooks:
            hook.on_validation_start(step)

    def on_validation(self, record: Record, is_best: bool) -> None:
        for hook in self.hooks:
            hook.on_validation(record, is_best)

    def on_snapshot(self, step: int, task: Task) -> None:
        for hook in self.hooks:
            if hook.wants_snapshot(step):
                hook.on_snapshot(step, task)

    def wants_snapshot(self, step: int) -> bool:
        return any(hook.wants_snapshot(step) for hook in self.hooks)
