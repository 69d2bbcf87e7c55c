"""Losses and weights that are no numbers: found where it costs nothing, and never saved."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dlcvcli.engine.task import Batch, Task
from dlcvcli.errors import NonFiniteLoss

_HINT = (
    "lower --lr, clip with --set optim.clip_norm=1, or train with --precision fp32; "
    "the run's checkpoints are sound"
)


class LossWatch:
    """Remembers on the device the first step whose loss is not finite, so that no step waits.

    Args:
        device: of the losses.
        never: a number above that of any step; `first` until a loss is bad.
    """

    def __init__(self, device: torch.device, never: int) -> None:
        self._first = torch.full((), never, device=device)

    def note(self, step: int, loss: Tensor) -> None:
        """Look at a step's loss, a scalar."""
        seen = torch.where(torch.isfinite(loss), self._first, step)
        self._first = torch.minimum(self._first, seen)

    @property
    def first(self) -> Tensor:
        """The first bad step, int64; on the device, reading it waits."""
        return self._first


def refuse_loss(step: int, batch: Batch, file: Path | None) -> None:
    """Stop at a loss that is not finite.

    Args:
        step: the step's number, from 1.
        batch: what it was computed of.
        file: where to save the batch; None on all ranks but one.

    Raises:
        NonFiniteLoss: always.
    """
    saved = ""
    if file is not None:
        try:
            torch.save(batch, file)
            saved = f"; the batch is saved as {file}"
        except (OSError, RuntimeError):
            # A full disk, say: the loss is the news.
            saved = f"; the batch could not be saved as {file}"
    raise NonFiniteLoss(f"the loss is not finite at step {step}{saved}", _HINT)


def require_finite_weights(task: Task, step: int) -> None:
    """Keep the last good checkpoint from being replaced by one that nothing can come of.

    Raises:
        NonFiniteLoss: a weight or running statistic is infinite or not a number.
    """
    if first_not_finite(task.state_dict()) is None:
        return
    if step == 0:
        raise NonFiniteLoss(
            "the weights are not finite before the first step", "choose other --weights"
        )
    raise NonFiniteLoss(f"the weights after step {step} are not finite; not saved", _HINT)


def first_not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a value that is infinite or not a number."""
    names = [name for name, value in state.items() if value.is_floating_point() and value.numel()]
    if not names:
        return None
    # Both extremes are NaN where a value is, and are found in a tenth of the time of looking at
    # each value. One answer for all, so that a GPU is waited for once.
    finite = torch.stack(
        [torch.isfinite(torch.stack(torch.aminmax(state[name]))).all() for name in names]
    )
    return None if bool(finite.all()) else names[int(finite.int().argmin())]
