"""DeepLabV3+: atrous spatial pyramid pooling and a light decoder on a dilated backbone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlcvcli.models.backbones import Backbone, MobileNetV2, MobileNetV3Large, ResNet50
from dlcvcli.models.layers import conv3x3, conv_bn_relu, init_head, resize_like
from dlcvcli.models.weights import LoadReport, load_backbone

# Chen et al. 2017, arXiv:1706.05587, section 3.3: the rates double where the output stride halves.
ASPP_RATES = {16: (6, 12, 18), 8: (12, 24, 36)}


class ASPP(nn.Module):
    """Look at a map with five fields of view at once (Chen et al. 2017, section 3.3).

    A 1x1 convolution, three atrous 3x3 ones and the mean of the whole map, side by side, then
    joined by a 1x1 convolution. ``[N, in_channels, H, W]`` to ``[N, channels, H, W]``, any H, W.

    Args:
        in_channels: channels of the input.
        rates: dilations of the three 3x3 convolutions, in cells.
        channels: channels of each branch and of the output.
        separable: whether the 3x3 convolutions are depthwise separable.
        dropout: probability that a value of the output is dropped in training.
    """

    def __init__(
        self,
        in_channels: int,
        rates: tuple[int, int, int],
        *,
        channels: int = 256,
        separable: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.point = conv_bn_relu(in_channels, channels)
        self.atrous = nn.ModuleList(
            conv3x3(in_channels, channels, dilation=rate, separable=separable) for rate in rates
        )
        self.image = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_bn_relu(in_channels, channels))
        self.project = nn.Sequential(
            conv_bn_relu(5 * channels, channels),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute the joined map."""
        image = self.image(x).expand(-1, -1, x.shape[2], x.shape[3])
        branches = [self.point(x), *(branch(x) for branch in self.atrous), image]
        joined: Tensor = self.project(torch.cat(branches, dim=1))
        return joined


class Decoder(nn.Module):
    """Sharpen the deep map with the shallow one and classify (Chen et al. 2018, section 3.1).

    The deep map is resized to the shallow one, which a 1x1 convolution has narrowed to 48 channels
    so that it does not outweigh the deep one; two 3x3 convolutions follow, then a 1x1 classifier.

    Args:
        low_channels: channels of the shallow map ``[N, low_channels, H, W]``.
        channels: channels of the deep map ``[N, channels, h, w]`` and of the 3x3 convolutions.
        num_classes: channels of the logits ``[N, num_classes, H, W]``.
        separable: whether the 3x3 convolutions are depthwise separable.
    """

    def __init__(
        self, low_channels: int, channels: int, num_classes: int, *, separable: bool = False
    ) -> None:
        super().__init__()
        self.low = conv_bn_relu(low_channels, 48)
        self.refine = nn.Sequential(
            conv3x3(channels + 48, channels, separable=separable),
            conv3x3(channels, channels, separable=separable),
        )
        self.classifier = nn.Conv2d(channels, num_classes, 1)

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Compute the logits at the shallow map's size."""
        high = resize_like(high, low)
        logits: Tensor = self.classifier(self.refine(torch.cat([high, self.low(low)], dim=1)))
        return logits


class DeepLabV3Plus(nn.Module):
    """DeepLabV3+ on any backbone (Chen et al. 2018, arXiv:1802.02611).

    Args:
        backbone: gives a shallow map at stride 4 and a deep one at output stride 8 or 16.
        num_classes: channels of the logits.
        separable: whether the head's 3x3 convolutions are depthwise separable.
        dropout: probability of dropping a value of the ASPP's output in training.

    Attributes:
        backbone_report: what was loaded into the backbone, None where nothing was.
    """

    backbone_report: LoadReport | None = None

    def __init__(
        self,
        backbone: Backbone,
        num_classes: int,
        *,
        separable: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.aspp = ASPP(
            backbone.high_channels,
            ASPP_RATES[backbone.output_stride],
            separable=separable,
            dropout=dropout,
        )
        self.decoder = Decoder(backbone.low_channels, 256, num_classes, separable=separable)
        init_head(self.aspp)
        init_head(self.decoder)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Classify every pixel.

        Args:
            x: normalised images, float ``[N, 3, H, W]``, any H, W.

        Returns:
            ``{"out": logits}``, float ``[N, num_classes, H, W]``.
        """
        low, high = self.backbone(x)
        return {"out": resize_like(self.decoder(low, self.aspp(high)), x)}


def deeplabv3plus_resnet50(
    *,
    num_classes: int,
    weights_backbone: str | None = None,
    output_stride: int = 16,
    dropout: float = 0.1,
) -> DeepLabV3Plus:
    """Build DeepLabV3+ on ResNet-50.

    Args:
        num_classes: channels of the logits.
        weights_backbone: None, ``imagenet`` or a path (see `load_backbone`).
        output_stride: 16, or 8: a finer map, and much more work.
        dropout: probability of dropping a value of the ASPP's output in training.

    Raises:
        UsageError: another output stride.
        CheckpointError: the weights cannot be had, read or fitted.
    """
    backbone = ResNet50(output_stride=output_stride)
    return _assemble(backbone, num_classes, weights_backbone, separable=False, dropout=dropout)


def deeplabv3plus_mobilenet_v2(
    *,
    num_classes: int,
    weights_backbone: str | None = None,
    output_stride: int = 16,
    dropout: float = 0.1,
) -> DeepLabV3Plus:
    """Build DeepLabV3+ on MobileNetV2, with depthwise separable ASPP and decoder, 256 channels.

    Arguments and errors are those of `deeplabv3plus_resnet50`.
    """
    backbone = MobileNetV2(output_stride=output_stride)
    return _assemble(backbone, num_classes, weights_backbone, separable=True, dropout=dropout)


def deeplabv3plus_mobilenet_v3_large(
    *,
    num_classes: int,
    weights_backbone: str | None = None,
    output_stride: int = 16,
    dropout: float = 0.1,
) -> DeepLabV3Plus:
    """Build DeepLabV3+ on MobileNetV3-Large, depthwise separable ASPP and decoder, 256 channels.

    Arguments and errors are those of `deeplabv3plus_resnet50`.
    """
    backbone = MobileNetV3Large(output_stride=output_stride)
    return _assemble(backbone, num_classes, weights_backbone, separable=True, dropout=dropout)


def _assemble(
    backbone: Backbone,
    num_classes: int,
    weights: str | None,
    *,
    separable: bool,
    dropout: float,
) -> DeepLabV3Plus:
    network = DeepLabV3Plus(backbone, num_classes, separable=separable, dropout=dropout)
    if weights is not None:
        network.backbone_report = load_backbone(
            backbone, weights, torchvision_name=backbone.torchvision_weights
        )
    return network
