"""ResNet-9: a small encoder for images of 32x32."""

from __future__ import annotations

from torch import Tensor, nn

from dlcvcli.models.diagram import Stage
from dlcvcli.models.encoder import Encoder


def _convolution(in_channels: int, channels: int, *, pool: bool = False) -> nn.Sequential:
    pooling = [nn.MaxPool2d(2)] if pool else []
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        # ReLU after the pooling gives the same values as before it, on a quarter of the cells.
        *pooling,
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions with BatchNorm and ReLU, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            _convolution(channels, channels), _convolution(channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.convs(x)
        return out


class ResNet9(Encoder):
    """Eight convolutions with two residual blocks, and the maximum over the last map.

    Images ``[N, 3, H, W]``, at least 8x8, to embeddings ``[N, 8 * channels]``. The winner of
    DAWNBench on CIFAR-10 (Coleman et al. 2017) in D. Page's form ("How to Train Your ResNet",
    2018), which has a ninth layer, the classifier.

    Args:
        channels: channels of the first layer; the others have 2, 4 and 8 times as many.
    """

    pooling = "max"

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.stem = _convolution(3, channels)
        self.layer1 = nn.Sequential(
            _convolution(channels, 2 * channels, pool=True), Residual(2 * channels)
        )
        self.layer2 = _convolution(2 * channels, 4 * channels, pool=True)
        self.layer3 = nn.Sequential(
            _convolution(4 * channels, 8 * channels, pool=True), Residual(8 * channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        maps: Tensor = self.layer3(self.layer2(self.layer1(self.stem(x))))
        return maps.amax(dim=(2, 3))

    def stages(self) -> tuple[Stage, ...]:
        """Return the stem and the three layers."""
        return tuple(Stage(name, (name,)) for name in ("stem", "layer1", "layer2", "layer3"))


def resnet9(*, weights: str | None = None, channels: int = 64) -> ResNet9:
    """Build `ResNet9`.

    Args:
        weights: None, ``imagenet`` or a path (see `Encoder.fill`).
        channels: channels of the first layer.
    """
    return ResNet9(channels).fill(weights)
