"""Detection of non-finite losses and weights, so that no checkpoint contains them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dlcvcli.engine.task import Batch, Task
from dlcvcli.errors import NonFiniteLoss

_HINT = (
    "lower --lr, clip with --set optim.clip_norm=1, or train with --precision fp32; "
    "the run's checkpoints are intact"
)


class LossWatch:
    """Records on the device the first step with a non-finite loss, without synchronisation.

    Args:
        device: device of the losses.
        never: a number above that of any step; the value of `first` while all losses are finite.
    """

    def __init__(self, device: torch.device, never: int) -> None:
        self._first = torch.full((), never, device=device)

    def note(self, step: int, loss: Tensor) -> None:
        """Record a step if its loss, a scalar, is not finite."""
        candidate = torch.where(torch.isfinite(loss), self._first, step)
        self._first = torch.minimum(self._first, candidate)

    @property
    def first(self) -> Tensor:
        """The first step with a non-finite loss, int64, on the device: reading it synchronises."""
        return self._first


def raise_non_finite_loss(step: int, batch: Batch, file: Path | None) -> None:
    """Save the batch of a non-finite loss, and raise the error.

    Args:
        step: number of the step, from 1.
        batch: the batch of the step.
        file: file for the batch; None on all ranks but one.

    Raises:
        NonFiniteLoss: always.
    """
    saved = ""
    if file is not None:
        try:
            torch.save(batch, file)
            saved = f"; the batch is saved as {file}"
        except (OSError, RuntimeError):
            # For example a full disk: the error to report is the loss.
            saved = f"; the batch could not be saved as {file}"
    raise NonFiniteLoss(f"the loss is not finite at step {step}{saved}", _HINT)


def require_finite_weights(task: Task, step: int) -> None:
    """Refuse to save non-finite weights, which would replace a usable checkpoint.

    Raises:
        NonFiniteLoss: a weight or running statistic is infinite or not a number.
    """
    if first_not_finite(task.state_dict()) is None:
        return
    if step == 0:
        raise NonFiniteLoss(
            "the weights are not finite before the first step", "choose another file for --weights"
        )
    raise NonFiniteLoss(f"the weights after step {step} are not finite and were not saved", _HINT)


def first_not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with a value that is infinite or not a number."""
    names = [name for name, value in state.items() if value.is_floating_point() and value.numel()]
    if not names:
        return None
    # aminmax returns NaN if any value is NaN, in a tenth of the time of isfinite on each value. One
    # stacked result for all tensors synchronises with a GPU once.
    finite = torch.stack(
        [torch.isfinite(torch.stack(torch.aminmax(state[name]))).all() for name in names]
    )
    return None if bool(finite.all()) else names[int(finite.int().argmin())]
