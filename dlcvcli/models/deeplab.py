"""DeepLabV3 and DeepLabV3+: ASPP on a dilated backbone; V3+ adds a decoder.

Each function builds a network from ``num_classes``, ``weights_backbone`` (None, ``imagenet`` or a
path; see `load_network`) and its options:

- output_stride: 16, or 8 for a finer feature map and several times the FLOPs.
- dropout: dropout probability of the ASPP's output.
- auxiliary: of DeepLabV3, train an FCN head on the map before the deepest. `loss.auxiliary` is the
  weight of its loss.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dlcvcli.models.aspp import ASPP, ASPP_DILATIONS
from dlcvcli.models.backbones import Backbone, MobileNetV2, MobileNetV3Large, ResNet50, ResNet101
from dlcvcli.models.diagram import Diagram, Sketch
from dlcvcli.models.layers import conv3x3, conv_bn_relu, init_head, resize_like
from dlcvcli.models.network import SegmentationNetwork

# Prefixes of the head's parameter names here -> in torchvision's DeepLabV3.
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
    """Refine the deep map with the shallow one and classify (Chen et al. 2018, section 3.1).

    The deep map is resized to the shallow one, which a 1x1 convolution has reduced to 48 channels
    so that it does not outweigh the deep one. Two 3x3 convolutions and a 1x1 classifier follow.

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
        """Return the logits at the size of the shallow map."""
        high = resize_like(high, low)
        logits: Tensor = self.classifier(self.refine(torch.cat([high, self.low(low)], dim=1)))
        return logits


class DeepLabV3(SegmentationNetwork):
    """DeepLabV3 (Chen et al. 2017, arXiv:1706.05587) with torchvision's head.

    The ASPP, a 3x3 convolution and a 1x1 classifier at the output stride of the backbone; the
    logits are resized to the image. The paper has no 3x3 convolution after the ASPP.

    Args:
        backbone: returns a deep map at output stride 8 or 16.
        num_classes: channels of the logits.
        auxiliary: whether training has an FCN head on the map before the deepest.
        dropout: dropout probability of the ASPP's output.
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
            backbone.high_channels, ASPP_DILATIONS[backbone.output_stride], dropout=dropout
        )
        self.classifier = nn.Sequential(conv3x3(256, 256), nn.Conv2d(256, num_classes, 1))
        init_head(self.aspp)
        init_head(self.classifier)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the logits of every pixel.

        Args:
            x: normalised images, float ``[N, 3, H, W]``, any H, W.

        Returns:
            ``{"out": logits}``, float ``[N, num_classes, H, W]``, and in training the logits of the
            auxiliary head, if any, as ``aux``.
        """
        _, middle, high = self.backbone(x)
        logits = {"out": resize_like(self.classifier(self.aspp(high)), x)}
        if self.auxiliary is not None and self.training:
            logits["aux"] = resize_like(self.auxiliary(middle), x)
        return logits

    def diagram(self) -> Diagram:
        """Return the diagram: the head on the right, an auxiliary head left of the backbone."""
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
    """Return an auxiliary head: a 3x3 convolution, dropout and a 1x1 classifier.

    ``[N, in_channels, h, w]`` to ``[N, num_classes, h, w]``, as in torchvision's segmentation
    networks; proposed for very deep backbones (Zhao et al. 2017, arXiv:1612.01105, section 3.3).
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
        backbone: returns a shallow map at stride 4 and a deep one at output stride 8 or 16.
        num_classes: channels of the logits.
        separable: whether the 3x3 convolutions of the head are depthwise separable.
        dropout: dropout probability of the ASPP's output.
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
            ASPP_DILATIONS[backbone.output_stride],
            separable=separable,
            dropout=dropout,
        )
        self.decoder = Decoder(backbone.low_channels, 256, num_classes, separable=separable)
        init_head(self.aspp)
        init_head(self.decoder)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the logits of every pixel.

        Args:
            x: normalised images, float ``[N, 3, H, W]``, any H, W.

        Returns:
            ``{"out": logits}``, float ``[N, num_classes, H, W]``.
        """
        low, _, high = self.backbone(x)
        return {"out": resize_like(self.decoder(low, self.aspp(high)), x)}

    def diagram(self) -> Diagram:
        """Return the diagram: the ASPP in the bottom rows, the decoder on the right."""
        sketch = Sketch(self.backbone.stages())
        low = sketch.tap("low")
        bottom = self.aspp.sketch(sketch, sketch.tap("high"))
        sketch.run("low", "head", (1, low.row), low.name, "decoder.low")
        joined = low.row + 0.5
        sketch.resize("up", (3, (bottom + joined) / 2), "project", "low")
        sketch.join("joined", "concatenate", (3, joined), ("up", "low"), vertical=("low",))
        sketch.run("refine", "head", (4, joined), "joined", "decoder.refine")
        sketch.run("classifier", "classifier", (4, joined * 2 / 3), "refine", "decoder.classifier")
        sketch.resize("full", (4, joined / 3), "classifier", "image")
        sketch.logits((4, 0), "full")
        return sketch.diagram()


def _v3plus(
    backbone: Callable[..., Backbone], *, separable: bool = False
) -> Callable[..., DeepLabV3Plus]:
    """Return the builder of DeepLabV3+ on a backbone."""

    def build(
        *,
        num_classes: int,
        weights_backbone: str | None = None,
        output_stride: int = 16,
        dropout: float = 0.1,
    ) -> DeepLabV3Plus:
        network = DeepLabV3Plus(
            backbone(output_stride=output_stride), num_classes, separable=separable, dropout=dropout
        )
        return network.fill(weights_backbone)

    return build


def _v3(backbone: Callable[..., Backbone]) -> Callable[..., DeepLabV3]:
    """Return the builder of DeepLabV3 on a backbone."""

    def build(
        *,
        num_classes: int,
        weights_backbone: str | None = None,
        output_stride: int = 16,
        auxiliary: bool = False,
        dropout: float = 0.1,
    ) -> DeepLabV3:
        network = DeepLabV3(
            backbone(output_stride=output_stride), num_classes, auxiliary=auxiliary, dropout=dropout
        )
        return network.fill(weights_backbone)

    return build


# The heads of the small backbones are depthwise separable, as their own convolutions are.
deeplabv3plus_resnet50 = _v3plus(ResNet50)
deeplabv3plus_resnet101 = _v3plus(ResNet101)
deeplabv3plus_mobilenet_v2 = _v3plus(MobileNetV2, separable=True)
deeplabv3plus_mobilenet_v3_large = _v3plus(MobileNetV3Large, separable=True)
deeplabv3_resnet50 = _v3(ResNet50)
deeplabv3_resnet101 = _v3(ResNet101)
