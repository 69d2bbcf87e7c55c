"""Training losses, in float32 whatever the training precision, honouring the ignore id."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def cross_entropy_sum(logits: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """Return the cross-entropy summed over the valid pixels.

    The sum, not the mean: a global batch is spread over ranks and accumulation parts with unequal
    numbers of valid pixels, and only sums can be divided by their common number.

    Args:
        logits: [N, C, H, W], any float dtype.
        target: uint8 or int64 [N, H, W], class ids or `ignore_index`.
        ignore_index: id of the pixels to leave out.

    Returns:
        float32 scalar; 0 where no pixel is valid.
    """
    return F.cross_entropy(
        logits.float(), target.long(), ignore_index=ignore_index, reduction="sum"
    )
