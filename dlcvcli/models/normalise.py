"""From pixels to what a network expects, as the first layer of every model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlcvcli.data.normalise import MEAN, STD


class Normalise(nn.Module):
    """Turn uint8 ``[N, H, W, 3]``, RGB, into float ``[N, 3, H, W]``: (x / 255 - mean) / std.

    The result lies in memory as channels-last.

    Args:
        mean, std: three numbers each, of RGB in [0, 1]; ImageNet's unless given.
    """

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        super().__init__()
        # Constants of the graph, not weights: kept out of checkpoints.
        self.register_buffer("shift", torch.tensor(mean) * 255, persistent=False)
        self.register_buffer("scale", 1 / (torch.tensor(std) * 255), persistent=False)
        self.shift: Tensor
        self.scale: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Normalise a batch."""
        return ((images.to(self.scale.dtype) - self.shift) * self.scale).permute(0, 3, 1, 2)
