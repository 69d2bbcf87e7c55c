"""Normalisation of pixels, the first layer of every model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dlcvcli.data.normalise import MEAN, STD


class Normalise(nn.Module):
    """(x / 255 - mean) / std: RGB images uint8 ``[N, H, W, 3]`` to float ``[N, 3, H, W]``.

    The result has the channels-last memory format.

    Args:
        mean, std: one number per RGB channel in [0, 1]; ImageNet's by default.
    """

    def __init__(self, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> None:
        super().__init__()
        # Checkpoints hold no constants.
        self.register_buffer("shift", torch.tensor(mean) * 255, persistent=False)
        self.register_buffer("scale", 1 / (torch.tensor(std) * 255), persistent=False)
        self.shift: Tensor
        self.scale: Tensor

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalised batch."""
        return ((images.to(self.scale.dtype) - self.shift) * self.scale).permute(0, 3, 1, 2)
