"""ResNet-12: the usual larger encoder of few-shot learning."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from dlcvcli.models.diagram import Stage
from dlcvcli.models.encoder import Encoder


class ResidualBlock(nn.Module):
    """Three 3x3 convolutions with a 1x1 shortcut, then 2x2 max pooling."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        widths = (in_channels, channels, channels)
        self.convs = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
            )
            for width in widths
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, channels, 1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = self.shortcut(x)
        first, second, third = self.convs
        x = F.leaky_relu(first(x), 0.1)
        x = F.leaky_relu(second(x), 0.1)
        return F.max_pool2d(F.leaky_relu(third(x) + shortcut, 0.1), 2)


class ResNet12(Encoder):
    """Four residual blocks of 64, 160, 320 and 640 channels, and the mean over the last map.

    Images ``[N, 3, H, W]``, at least 16x16, to embeddings ``[N, 640]`` (Lee et al. 2019,
    arXiv:1904.03758, section 4.1; without its DropBlock).

    Args:
        dropout: probability of dropping a channel after each block, in training.
    """

    def __init__(self, dropout: float = 0.1) -> None:
        super().__init__()
        widths = (3, 64, 160, 320, 640)
        blocks: list[nn.Module] = []
        for before, after in pairwise(widths):
            blocks += [ResidualBlock(before, after), nn.Dropout2d(dropout)]
        self.blocks = nn.Sequential(*blocks)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="leaky_relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        embeddings: Tensor = self.blocks(x).mean(dim=(2, 3))
        return embeddings

    def stages(self) -> tuple[Stage, ...]:
        """Return the four blocks, each with its dropout."""
        pairs = range(0, len(self.blocks), 2)
        return tuple(
            Stage(f"block {number}", (f"blocks.{index}", f"blocks.{index + 1}"))
            for number, index in enumerate(pairs, start=1)
        )


def resnet12(*, weights: str | None = None, dropout: float = 0.1) -> ResNet12:
    """Build `ResNet12`.

    Args:
        weights: None, ``imagenet`` or a path (see `Encoder.fill`).
        dropout: probability of dropping a channel after each block, in training.
    """
    return ResNet12(dropout).fill(weights)
