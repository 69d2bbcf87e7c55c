"""Tasks whose network may have a moving average of its weights beside it."""

from __future__ import annotations

from typing import Generic, Self, TypeVar

from torch import nn

from dlcvcli.engine.task import Task
from dlcvcli.models.averaging import averaged_copy, update_average

M = TypeVar("M", bound=nn.Module)


class AveragedTask(Task, Generic[M]):
    """Base of such tasks.

    Args:
        network: what is trained; a subclass registers it under a name of its own.
        ema: decay of the moving average; None for none.

    Attributes:
        average: the moving average, where there is one; in evaluation mode always.
    """

    def __init__(self, network: M, ema: float | None) -> None:
        super().__init__()
        self.ema = ema
        self.average: M | None = None if ema is None else averaged_copy(network)

    @property
    def trained(self) -> M:
        """The network that is trained."""
        raise NotImplementedError

    @property
    def evaluated(self) -> M:
        """The network that is validated, looked at and kept: the average where there is one."""
        return self.trained if self.average is None else self.average

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what is trained."""
        super().train(mode)
        if self.average is not None:
            self.average.eval()
        return self

    def after_step(self, step: int, total_steps: int) -> None:
        """Let the average follow the weights."""
        if self.average is not None and self.ema is not None:
            update_average(self.average, self.trained, decay=self.ema, step=step)
