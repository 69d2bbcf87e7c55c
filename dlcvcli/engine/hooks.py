"""What a caller may do while the engine trains. The engine knows no console and no figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlcvcli.engine.task import Task

Record = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What is about to be trained.

    Attributes:
        start_step: steps already done; 0 for a new run.
        total_steps: steps of the whole run.
        steps_per_epoch: full batches in an epoch.
        batch_size: global.
    """

    start_step: int
    total_steps: int
    steps_per_epoch: int
    batch_size: int

    def epoch_of(self, step: int) -> float:
        """Return how many epochs `step` steps are; a whole number at an epoch's end."""
        epochs = step / self.steps_per_epoch
        return int(epochs) if epochs.is_integer() else round(epochs, 4)


class Hooks:
    """Called by the engine on rank 0; every method may be overridden, none must be.

    `step` counts the steps done. Methods must not change the task.
    """

    def on_start(self, plan: Plan) -> None:
        """Training begins or goes on."""

    def on_step(self, step: int) -> None:
        """A step is done; called at every step, so it must be cheap."""

    def on_log(self, record: Record) -> None:
        """A training record was written to metrics.jsonl."""

    def on_validation_start(self, step: int) -> None:
        """Validation begins."""

    def on_validation(self, record: Record, is_best: bool) -> None:
        """A validation record was written to metrics.jsonl."""

    def on_snapshot(self, step: int, task: Task) -> None:
        """The task stands at `step`, in evaluation mode, for a look at what it predicts.

        Called where `wants_snapshot` is true: before the first step (0) and after any.
        """

    def wants_snapshot(self, step: int) -> bool:
        """Whether `on_snapshot` shall be called at `step`."""
        return False


class HookList(Hooks):
    """Several hooks as one."""

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
