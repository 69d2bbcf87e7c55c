"""Small parts that the segmentation heads share."""

from __future__ import annotations

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
    """Make a convolution that keeps the map's size, then BatchNorm, then ReLU.

    Args:
        in_channels: channels of the input ``[N, in_channels, H, W]``.
        out_channels: channels of the output ``[N, out_channels, H, W]``.
        kernel_size: odd.
        dilation: distance between the kernel's taps, in cells.
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
    """Make a 3x3 convolution with BatchNorm and ReLU, whole or depthwise separable.

    The separable one is a depthwise 3x3 and a pointwise 1x1, each with BatchNorm and ReLU
    (Chen et al. 2018, sections 3.1 and 3.2).

    Args:
        in_channels: channels of the input ``[N, in_channels, H, W]``.
        out_channels: channels of the output ``[N, out_channels, H, W]``.
        dilation: distance between the kernel's taps, in cells.
        separable: whether to factor it.
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
    """Give every convolution inside a head its starting weights, in place.

    Kaiming normal over the inputs (He et al. 2015, arXiv:1502.01852, eq. 10), biases zero.
    """
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            # Counted over the outputs, a classifier of few classes would start with logits of
            # several units and a loss far above log(classes).
            nn.init.kaiming_normal_(part.weight, mode="fan_in", nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def resize_like(x: Tensor, like: Tensor) -> Tensor:
    """Resize maps ``[N, C, h, w]`` to the height and width of others, bilinear, corners apart."""
    size = (like.shape[2], like.shape[3])
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)
