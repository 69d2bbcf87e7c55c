"""LR-ASPP: a segmentation head with few parameters, on MobileNetV3-Large."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from dlcvcli.models.backbones import Backbone, MobileNetV3Large
from dlcvcli.models.diagram import Diagram, Sketch
from dlcvcli.models.layers import conv_bn_relu, init_head, resize_like
from dlcvcli.models.network import SegmentationNetwork


class LRASPP(SegmentationNetwork):
    """Lite reduced ASPP (Howard et al. 2019, arXiv:1905.02244, section 6.4).

    The deep map, reduced to 128 channels, is multiplied by a gate computed from its mean, resized
    to the shallow map at stride 8 and classified. The logits of the shallow map are added. The mean
    is over the full map, so that any input size works; in the paper it is over 49x49 windows.

    Args:
        backbone: returns a shallow map at stride 8 and a deep one at stride 16.
        num_classes: channels of the logits.
        channels: channels of the reduced deep map.
    """

    backbone: Backbone
    # Torchvision also dilates the convolution whose stride it removes, unlike `limit_stride`. Its
    # weights load, but the logits differ.
    torchvision_heads: ClassVar[Mapping[str, str]] = {
        "narrow.": "classifier.cbr.",
        "gate.1.": "classifier.scale.1.",
        "classify_low.": "classifier.low_classifier.",
        "classify_high.": "classifier.high_classifier.",
    }
    torchvision_note = (
        "torchvision's network has one more dilated convolution, so the same weights give other "
        "logits here until they are fine-tuned"
    )

    def __init__(self, backbone: Backbone, num_classes: int, *, channels: int = 128) -> None:
        super().__init__()
        self.backbone = backbone
        self.narrow = conv_bn_relu(backbone.high_channels, channels)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(backbone.high_channels, channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.classify_low = nn.Conv2d(backbone.low_channels, num_classes, 1)
        self.classify_high = nn.Conv2d(channels, num_classes, 1)
        for head in (self.narrow, self.gate, self.classify_low, self.classify_high):
            init_head(head)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the logits of every pixel.

        Args:
            x: normalised images, float ``[N, 3, H, W]``, any H, W.

        Returns:
            ``{"out": logits}``, float ``[N, num_classes, H, W]``.
        """
        low, _, high = self.backbone(x)
        gated = self.narrow(high) * self.gate(high)
        # A 1x1 classifier and a bilinear resize commute; this order resizes fewer channels.
        logits = resize_like(self.classify_high(gated), low) + self.classify_low(low)
        return {"out": resize_like(logits, x)}

    def diagram(self) -> Diagram:
        """Return the diagram: the gated deep map in the bottom row, the shallow scores above."""
        sketch = Sketch(self.backbone.stages())
        low, high = sketch.tap("low"), sketch.tap("high")
        bottom, fused = high.row, low.row
        sketch.run("scores_low", "classifier", (1, fused), low.name, "classify_low")
        sketch.run("narrow", "context", (1, bottom), high.name, "narrow")
        sketch.run("gate", "context", (1, bottom + 1), high.name, "gate")
        sketch.join("gated", "multiply", (2, bottom), ("narrow", "gate"), vertical=("gate",))
        sketch.run("scores_high", "classifier", (3, bottom), "gated", "classify_high")
        sketch.resize("up", (3, (fused + bottom) / 2), "scores_high", "scores_low")
        sketch.join("scores", "add", (3, fused), ("scores_low", "up"))
        sketch.resize("full", (3, fused / 2), "scores", "image")
        sketch.logits((3, 0), "full")
        return sketch.diagram()


def lraspp_mobilenet_v3_large(*, num_classes: int, weights_backbone: str | None = None) -> LRASPP:
    """Build LR-ASPP on MobileNetV3-Large at output stride 16.

    Args:
        num_classes: channels of the logits.
        weights_backbone: None, ``imagenet`` or a path (see `load_network`).

    Raises:
        CheckpointError: the weights cannot be found or read, or do not fit.
    """
    backbone = MobileNetV3Large(output_stride=16, low_stride=8)
    network = LRASPP(backbone, num_classes)
    return network.fill(weights_backbone)
