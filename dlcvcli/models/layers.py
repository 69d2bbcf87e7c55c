"""Layers that several networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn_relu(
    in_channels: int,
    out_channels: int,
    *,
    kernel_size: int = 1,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """Return a convolution that keeps the size of the map, BatchNorm and ReLU.

    Args:
        in_channels: channels of the input ``[N, in_channels, H, W]``.
        out_channels: channels of the output ``[N, out_channels, H, W]``.
        kernel_size: odd.
        dilation: distance between the weights of the kernel, in cells.
        groups: as in `torch.nn.Conv2d`.
    """
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def conv3x3(
    in_channels: int, out_channels: int, *, dilation: int = 1, separable: bool = False
) -> nn.Sequential:
    """Return a 3x3 convolution with BatchNorm and ReLU, plain or depthwise separable.

    The separable one is a depthwise 3x3 and a pointwise 1x1 convolution, each with BatchNorm and
    ReLU (Chen et al. 2018, sections 3.1 and 3.2).

    Args:
        in_channels: channels of the input ``[N, in_channels, H, W]``.
        out_channels: channels of the output ``[N, out_channels, H, W]``.
        dilation: distance between the weights of the kernel, in cells.
        separable: whether it is depthwise separable.
    """
    if not separable:
        return conv_bn_relu(in_channels, out_channels, kernel_size=3, dilation=dilation)
    return nn.Sequential(
        conv_bn_relu(
            in_channels, in_channels, kernel_size=3, dilation=dilation, groups=in_channels
        ),
        conv_bn_relu(in_channels, out_channels),
    )


def init_head(module: nn.Module) -> None:
    """Initialise the convolutions of a head in place: Kaiming normal weights, zero biases.

    The variance is that of the fan-in (He et al. 2015, arXiv:1502.01852, eq. 10).
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            # With `fan_out`, a classifier of few classes would start with large logits and a loss
            # far above log(classes).
            nn.init.kaiming_normal_(part.weight, mode="fan_in", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def resize_like(x: Tensor, like: Tensor) -> Tensor:
    """Resize maps ``[N, C, h, w]`` bilinearly to the height and width of others."""
    size = (like.shape[2], like.shape[3])
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


class BinnedMean(nn.Module):
    """Means over bins of a map: `torch.nn.AdaptiveAvgPool2d` as two products of matrices.

    Maps float ``[N, C, H, W]`` to ``[N, C, rows, columns]``. ONNX has adaptive pooling for sizes
    that are known and divisible only.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.rows = rows
        self.columns = columns

    def forward(self, x: Tensor) -> Tensor:
        """Return the means."""
        return _bins(self.rows, x.shape[2], x) @ x @ _bins(self.columns, x.shape[3], x).T


def _bins(count: int, length: int, like: Tensor) -> Tensor:
    """Return the matrix ``[count, length]`` that averages cells over bins, which may overlap."""
    cells = torch.arange(length, device=like.device)
    edges = torch.arange(count + 1, device=like.device) * length
    first, end = edges[:-1, None] // count, (edges[1:, None] + count - 1) // count
    return ((cells >= first) & (cells < end)).to(like.dtype) / (end - first).to(like.dtype)


def use_usual_momentum(module: nn.Module) -> None:
    """Give every BatchNorm PyTorch's default momentum, 0.1, in place.

    Torchvision uses 0.01 or less in MobileNetV3, MNASNet and large EfficientNets, with which the
    running statistics of a short run stay near their initial values: after 60 steps on synthetic
    data, a MobileNetV3's loss of 0.5 in training was 1.4 in evaluation; with 0.1 it was 0.5.
    """
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 0.1
