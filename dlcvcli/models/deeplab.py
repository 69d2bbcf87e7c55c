"""DeepLabV3 and V3+: atrous spatial pyramid pooling on a dilated backbone; V3+ adds a decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlcvcli.models.aspp import ASPP, ASPP_RATES
from dlcvcli.models.backbones import Backbone, MobileNetV2, MobileNetV3Large, ResNet50, ResNet101
from dlcvcli.models.diagram import Diagram, Sketch
from dlcvcli.models.layers import conv3x3, conv_bn_relu, init_head, resize_like
from dlcvcli.models.network import SegmentationNetwork

# How the names of torchvision's DeepLabV3 follow from those of ours.
_TORCHVISION_HEADS = {
    "aspp.point.0.": "classifier.0.convs.0.0.",
    "aspp.point.1.": "classifier.0.convs.0.1.",
    "aspp.atrous.0.": "classifier.0.convs.1.",
    "aspp.atrous.1.": "classifier.0.convs.2.",
    "aspp.atrous.2.": "classifier.0.convs.3.",
    "aspp.image.1.0.": "classifier.0.convs.4.1.",
    "aspp.image.1.1.": "classifier.0.convs.4.2.",
    "aspp.project.0.": "classifier.0.project.",
    "classifier.0.0.": "classifier.1.",
    "classifier.0.1.": "classifier.2.",
    "classifier.1.": "classifier.4.",
    "auxiliary.0.": "aux_classifier.",
    "auxiliary.2.": "aux_classifier.4.",
}


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


class DeepLabV3(SegmentationNetwork):
    """DeepLabV3 (Chen et al. 2017, arXiv:1706.05587), with the head that torchvision gives it.

    The ASPP, a 3x3 convolution and a 1x1 classifier at the backbone's output stride; the logits are
    resized to the image. The 3x3 convolution is torchvision's; the paper classifies the ASPP's map.

    Args:
        backbone: gives a deep map at output stride 8 or 16.
        num_classes: channels of the logits.
        auxiliary: whether an FCN head classifies the map of the stage before, too, in training.
        dropout: probability of dropping a value of the ASPP's output in training.
    """

    backbone: Backbone
    torchvision_heads = _TORCHVISION_HEADS

    def __init__(
        self, backbone: Backbone, num_classes: int, *, auxiliary: bool, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.auxiliary = (
            auxiliary_head(backbone.middle_channels, num_classes) if auxiliary else None
        )
        self.aspp = ASPP(
            backbone.high_channels, ASPP_RATES[backbone.output_stride], dropout=dropout
        )
        self.classifier = nn.Sequential(conv3x3(256, 256), nn.Conv2d(256, num_classes, 1))
        init_head(self.aspp)
        init_head(self.classifier)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Classify every pixel.

        Args:
            x: normalised images, float ``[N, 3, H, W]``, any H, W.

        Returns:
            ``{"out": logits}``, float ``[N, num_classes, H, W]``; in training, with an auxiliary
            head, its logits as ``aux`` too.
        """
        _, middle, high = self.backbone(x)
        logits = {"out": resize_like(self.classifier(self.aspp(high)), x)}
        if self.auxiliary is not None and self.training:
            logits["aux"] = resize_like(self.auxiliary(middle), x)
        return logits

    def diagram(self) -> Diagram:
        """Lay out the head up the right, and the auxiliary head, if any, left of the backbone."""
        sketch = Sketch(self.backbone.stages())
        middle = sketch.tap("middle")
        row = self.aspp.sketch(sketch, sketch.tap("high"))
        sketch.run("refine", "head", (3, row * 0.75), "project", "classifier.0")
        sketch.run("classifier", "classifier", (3, row * 0.5), "refine", "classifier.1")
        sketch.resize("full", (3, row * 0.25), "classifier", "image")
        sketch.logits((3, 0), "full")
        if self.auxiliary is not None:
            sketch.run("auxiliary", "training", (-1, middle.row), middle.name, "auxiliary")
            sketch.resize("aux_full", (-1, middle.row / 2), "auxiliary", "image", kind="training")
            sketch.logits((-1, 0), "aux_full", name="auxiliary logits", kind="training")
        return sketch.diagram()


def auxiliary_head(in_channels: int, num_classes: int) -> nn.Sequential:
    """Make a head that classifies a map on the way: a 3x3 convolution, dropout, a classifier.

    ``[N, in_channels, h, w]`` to ``[N, num_classes, h, w]``, as in torchvision's segmenters (Zhao
    et al. 2017, arXiv:1612.01105, section 3.3, has one to train very deep backbones).
    """
    head = nn.Sequential(
        conv3x3(in_channels, in_channels // 4),
        nn.Dropout(0.1),
        nn.Conv2d(in_channels // 4, num_classes, 1),
    )
    init_head(head)
    return head


class DeepLabV3Plus(SegmentationNetwork):
    """DeepLabV3+ on any backbone (Chen et al. 2018, arXiv:1802.02611).

    Args:
        backbone: gives a shallow map at stride 4 and a deep one at output stride 8 or 16.
        num_classes: channels of the logits.
        separable: whether the head's 3x3 convolutions are depthwise separable.
        dropout: probability of dropping a value of the ASPP's output in training.
    """

    backbone: Backbone

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
        low, _, high = self.backbone(x)
        return {"out": resize_like(self.decoder(low, self.aspp(high)), x)}

    def diagram(self) -> Diagram:
        """Lay out the ASPP along the bottom, the shallow map above it, the decoder up the right."""
        sketch = Sketch(self.backbone.stages())
        low = sketch.tap("low")
        bottom = self.aspp.sketch(sketch, sketch.tap("high"))
        sketch.run("low", "head", (1, low.row), low.name, "decoder.low")
        joined = low.row + 0.5
        sketch.resize("up", (3, (bottom + joined) / 2), "project", "low")
        sketch.join("joined", "concatenate", (3, joined), ("up", "low"), turned=("low",))
        sketch.run("refine", "head", (4, joined), "joined", "decoder.refine")
        sketch.run("classifier", "classifier", (4, joined * 2 / 3), "refine", "decoder.classifier")
        sketch.resize("full", (4, joined / 3), "classifier", "image")
        sketch.logits((4, 0), "full")
        return sketch.diagram()


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


def deeplabv3plus_resnet101(
    *,
    num_classes: int,
    weights_backbone: str | None = None,
    output_stride: int = 16,
    dropout: float = 0.1,
) -> DeepLabV3Plus:
    """Build DeepLabV3+ on ResNet-101.

    Arguments and errors are those of `deeplabv3plus_resnet50`.
    """
    backbone = ResNet101(output_stride=output_stride)
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


def deeplabv3_resnet50(
    *,
    num_classes: int,
    weights_backbone: str | None = None,
    output_stride: int = 16,
    auxiliary: bool = False,
    dropout: float = 0.1,
) -> DeepLabV3:
    """Build DeepLabV3 on ResNet-50.

    Args:
        num_classes: channels of the logits.
        weights_backbone: None, ``imagenet`` or a path (see `load_backbone`).
        output_stride: 16, or 8: a finer map, and much more work.
        auxiliary: whether an FCN head on layer3 is trained along; its share of the loss is a
            setting, `loss.auxiliary`.
        dropout: probability of dropping a value of the ASPP's output in training.

    Raises:
        UsageError: another output stride.
        CheckpointError: the weights cannot be had, read or fitted.
    """
    backbone = ResNet50(output_stride=output_stride)
    network = DeepLabV3(backbone, num_classes, auxiliary=auxiliary, dropout=dropout)
    return network.fill(weights_backbone)


def deeplabv3_resnet101(
    *,
    num_classes: int,
    weights_backbone: str | None = None,
    output_stride: int = 16,
    auxiliary: bool = False,
    dropout: float = 0.1,
) -> DeepLabV3:
    """Build DeepLabV3 on ResNet-101; arguments and errors are those of `deeplabv3_resnet50`."""
    backbone = ResNet101(output_stride=output_stride)
    network = DeepLabV3(backbone, num_classes, auxiliary=auxiliary, dropout=dropout)
    return network.fill(weights_backbone)


def _assemble(
    backbone: Backbone,
    num_classes: int,
    weights: str | None,
    *,
    separable: bool,
    dropout: float,
) -> DeepLabV3Plus:
    network = DeepLabV3Plus(backbone, num_classes, separable=separable, dropout=dropout)
    return network.fill(weights)
