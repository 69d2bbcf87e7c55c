"""Torchvision's classifiers without their heads, as encoders.

The parameters have the same names as in torchvision, whose state dicts load unchanged.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torchvision import models

from dlcvcli.errors import UsageError
from dlcvcli.models.backbones import feature_stages, pooled_stages, stage_starts
from dlcvcli.models.diagram import Stage
from dlcvcli.models.encoder import Encoder
from dlcvcli.models.layers import BinnedMean, use_usual_momentum


class ResNetEncoder(Encoder):
    """A ResNet up to its global average pooling (He et al. 2016, arXiv:1512.03385).

    Args:
        net: torchvision's network.
        torchvision_weights: the weights that ``imagenet`` means.
        stem: ``7x7``, or ``3x3`` for small images such as CIFAR's: a 3x3 convolution with stride 1
            and no pooling (section 4.2), so that the last map has stride 8 instead of 32.

    Raises:
        UsageError: another stem.
    """

    def __init__(self, net: models.ResNet, torchvision_weights: str, *, stem: str = "7x7") -> None:
        super().__init__()
        if stem not in ("7x7", "3x3"):
            raise UsageError(f"stem is 7x7 or 3x3, not {stem}")
        self.torchvision_weights = torchvision_weights
        for name, part in net.named_children():
            if name != "fc":
                self.add_module(name, part)
        if stem == "3x3":
            self.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
            self.maxpool = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        # The children are registered in the order in which torchvision calls them.
        for part in self.children():
            x = part(x)
        return x.flatten(1)

    def stages(self) -> tuple[Stage, ...]:
        """Return the stem and the four layers."""
        layers = (Stage(name, (name,)) for name in ("layer1", "layer2", "layer3", "layer4"))
        return (Stage("stem", ("conv1", "bn1", "maxpool")), *layers)


class MobileNetEncoder(Encoder):
    """A MobileNet up to its global average pooling."""

    def __init__(self, features: nn.Sequential, torchvision_weights: str) -> None:
        super().__init__()
        self.torchvision_weights = torchvision_weights
        self.features = features
        use_usual_momentum(features)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        maps: Tensor = self.features(x)
        return maps.mean(dim=(2, 3))

    def stages(self) -> tuple[Stage, ...]:
        """Return ``features`` split at the blocks with stride."""
        return feature_stages([*stage_starts(self.features), len(self.features)], {})


class EfficientNetEncoder(MobileNetEncoder):
    """An EfficientNet up to its global average pooling (Tan and Le 2019, arXiv:1905.11946)."""


class VGGEncoder(Encoder):
    """A VGG up to the second of its three linear layers (Simonyan and Zisserman, arXiv:1409.1556).

    The last map is pooled to 7x7 cells, so that the linear layers fit every size of the image.
    """

    pooling = "none"

    def __init__(self, net: models.VGG, torchvision_weights: str) -> None:
        super().__init__()
        self.torchvision_weights = torchvision_weights
        self.features = net.features
        self.avgpool = nn.Sequential(BinnedMean(7, 7), nn.Flatten())
        self.classifier = net.classifier[:-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        embeddings: Tensor = self.classifier(self.avgpool(self.features(x)))
        return embeddings

    def stages(self) -> tuple[Stage, ...]:
        """Return the five blocks of convolutions, the pooling and the linear layers."""
        layers = tuple(f"classifier.{index}" for index in range(len(self.classifier)))
        half = len(layers) // 2
        return (
            *pooled_stages(self.features),
            Stage("pooling", ("avgpool",)),
            Stage("fc6", layers[:half]),
            Stage("fc7", layers[half:]),
        )


class ConvNeXtEncoder(Encoder):
    """A ConvNeXt up to the normalisation of its pooled last map (Liu et al. 2022)."""

    pooling = "none"

    def __init__(self, net: models.ConvNeXt, torchvision_weights: str) -> None:
        super().__init__()
        self.torchvision_weights = torchvision_weights
        self.features, self.avgpool = net.features, net.avgpool
        self.classifier = net.classifier[:-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings."""
        embeddings: Tensor = self.classifier(self.avgpool(self.features(x)))
        return embeddings

    def stages(self) -> tuple[Stage, ...]:
        """Return the four stages, each with the layer that shrinks its input, and the end."""
        stages = feature_stages(range(0, len(self.features) + 1, 2), {})
        return (*stages, Stage("classifier", ("avgpool", "classifier")))


def _resnet(
    build: Callable[..., models.ResNet], torchvision_weights: str, weights: str | None, stem: str
) -> Encoder:
    return ResNetEncoder(build(weights=None), torchvision_weights, stem=stem).fill(weights)


def resnet18(*, weights: str | None = None, stem: str = "7x7") -> Encoder:
    """Build a ResNet-18 encoder of 512 values; `weights` as in `Encoder.fill`."""
    return _resnet(models.resnet18, "ResNet18_Weights.IMAGENET1K_V1", weights, stem)


def resnet34(*, weights: str | None = None, stem: str = "7x7") -> Encoder:
    """Build a ResNet-34 encoder of 512 values; `weights` as in `Encoder.fill`."""
    return _resnet(models.resnet34, "ResNet34_Weights.IMAGENET1K_V1", weights, stem)


def resnet50(*, weights: str | None = None, stem: str = "7x7") -> Encoder:
    """Build a ResNet-50 encoder of 2048 values; `weights` as in `Encoder.fill`."""
    return _resnet(models.resnet50, "ResNet50_Weights.IMAGENET1K_V2", weights, stem)


def resnet101(*, weights: str | None = None, stem: str = "7x7") -> Encoder:
    """Build a ResNet-101 encoder of 2048 values; `weights` as in `Encoder.fill`."""
    return _resnet(models.resnet101, "ResNet101_Weights.IMAGENET1K_V2", weights, stem)


def vgg16(*, weights: str | None = None) -> Encoder:
    """Build a VGG-16 encoder of 4096 values; `weights` as in `Encoder.fill`."""
    return VGGEncoder(models.vgg16(weights=None), "VGG16_Weights.IMAGENET1K_V1").fill(weights)


def mobilenet_v3_large(*, weights: str | None = None) -> Encoder:
    """Build a MobileNetV3-Large encoder of 960 values; `weights` as in `Encoder.fill`."""
    net = models.mobilenet_v3_large(weights=None)
    return MobileNetEncoder(net.features, "MobileNet_V3_Large_Weights.IMAGENET1K_V2").fill(weights)


def mobilenet_v3_small(*, weights: str | None = None) -> Encoder:
    """Build a MobileNetV3-Small encoder of 576 values; `weights` as in `Encoder.fill`."""
    net = models.mobilenet_v3_small(weights=None)
    return MobileNetEncoder(net.features, "MobileNet_V3_Small_Weights.IMAGENET1K_V1").fill(weights)


def efficientnet_b0(*, weights: str | None = None) -> Encoder:
    """Build an EfficientNet-B0 encoder of 1280 values; `weights` as in `Encoder.fill`."""
    net = models.efficientnet_b0(weights=None)
    return EfficientNetEncoder(net.features, "EfficientNet_B0_Weights.IMAGENET1K_V1").fill(weights)


def convnext_tiny(*, weights: str | None = None) -> Encoder:
    """Build a ConvNeXt-Tiny encoder of 768 values; `weights` as in `Encoder.fill`."""
    net = models.convnext_tiny(weights=None)
    return ConvNeXtEncoder(net, "ConvNeXt_Tiny_Weights.IMAGENET1K_V1").fill(weights)
