"""Conv4: the small encoder of few-shot learning."""

from __future__ import annotations

from torch import Tensor, nn

from dlcvcli.models.diagram import Stage
from dlcvcli.models.encoder import Encoder


def _block(in_channels: int, channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        # ReLU after the pooling gives the same values as before it, on a quarter of the cells.
        nn.MaxPool2d(2),
        nn.ReLU(inplace=True),
    )


class Conv4(Encoder):
    """Four blocks of 3x3 convolution, BatchNorm, 2x2 max pooling and ReLU, flattened.

    Images ``[N, 3, H, W]``, at least 16x16, to embeddings
    ``[N, channels * (H // 16) * (W // 16)]``: 1600 values at 84x84 and 64 at 28x28 (Vinyals et al.
    2016, arXiv:1606.04080, section 4.1; Snell et al. 2017, arXiv:1703.05175, section 3). Grey
    images have three equal channels.

    Args:
        channels: output channels of each block.
    """

    any_size = False
    pooling = "flatten"

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        widths = (3, channels, channels, channels)
        self.blocks = nn.Sequential(*(_block(width, channels) for width in widths))

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        embeddings: Tensor = self.blocks(x).flatten(1)
        return embeddings

    def stages(self) -> tuple[Stage, ...]:
        """Return the four blocks."""
        return tuple(
            Stage(f"block {index + 1}", (f"blocks.{index}",)) for index in range(len(self.blocks))
        )


def conv4(*, weights: str | None = None, channels: int = 64) -> Conv4:
    """Build `Conv4`.

    Args:
        weights: None, ``imagenet`` or a path (see `Encoder.fill`).
        channels: output channels of each block.
    """
    return Conv4(channels).fill(weights)
