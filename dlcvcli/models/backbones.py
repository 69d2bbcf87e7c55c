"""Image classifiers without their heads as feature extractors, at a chosen output stride.

The parameters have the same names as in torchvision, whose state dicts load unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import ClassVar, NamedTuple

import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import mobilenet_v2, mobilenet_v3_large, resnet50, resnet101

from dlcvcli.errors import UsageError
from dlcvcli.models.diagram import Stage
from dlcvcli.models.layers import use_usual_momentum

# Simonyan and Zisserman 2015, arXiv:1409.1556, table 1, column D.
VGG16_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class Features(NamedTuple):
    """Three float maps of a batch: ``low`` is fine and shallow, ``high`` coarse and deep.

    ``middle`` is the output one stage before ``high``, the input of an auxiliary head.
    """

    low: Tensor
    middle: Tensor
    high: Tensor


class Backbone(nn.Module):
    """Base of the feature extractors: images ``[N, 3, H, W]`` to `Features`.

    Attributes:
        torchvision_weights: name of torchvision's weights that ``imagenet`` means.
        output_stride: input pixels per cell of ``high``.
        low_stride: input pixels per cell of ``low``.
        low_channels: channels of ``low``.
        middle_channels: channels of ``middle``.
        high_channels: channels of ``high``.
    """

    torchvision_weights: ClassVar[str]
    output_stride: int
    low_stride: int
    low_channels: int
    middle_channels: int
    high_channels: int

    def forward(self, x: Tensor) -> Features:
        """Return the maps."""
        raise NotImplementedError

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages for the diagram; `Stage.tap` names the map that a stage outputs."""
        raise NotImplementedError


class ResNet(Backbone):
    """A ResNet without its classifier (He et al. 2016, arXiv:1512.03385).

    ``low`` is the output of layer1, ``[N, 256, H/4, W/4]``, ``middle`` that of layer3,
    ``[N, 1024, H/S, W/S]``, and ``high`` that of layer4, ``[N, 2048, H/S, W/S]``, with the output
    stride S and sizes rounded up. Strides beyond S are replaced by dilation.

    Args:
        net: torchvision's network of bottleneck blocks, dilated for the output stride.
        output_stride: 8 or 16.
    """

    def __init__(self, net: torchvision.models.ResNet, *, output_stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu, self.maxpool = net.conv1, net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2 = net.layer1, net.layer2
        self.layer3, self.layer4 = net.layer3, net.layer4
        self.output_stride = output_stride
        self.low_stride = 4
        self.low_channels = 256
        self.middle_channels = 1024
        self.high_channels = 2048

    def forward(self, x: Tensor) -> Features:
        """Return the outputs of layer1, layer3 and layer4."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        low = self.layer1(x)
        middle = self.layer3(self.layer2(low))
        return Features(low, middle, self.layer4(middle))

    def stages(self) -> tuple[Stage, ...]:
        """Return the stem and the four layers."""
        return (
            Stage("stem", ("conv1", "bn1", "maxpool")),
            Stage("layer1", ("layer1",), tap="low"),
            Stage("layer2", ("layer2",)),
            Stage("layer3", ("layer3",), tap="middle"),
            Stage("layer4", ("layer4",), tap="high"),
        )


class ResNet50(ResNet):
    """ResNet-50 as a `ResNet` backbone.

    Args:
        output_stride: 8 or 16.

    Raises:
        UsageError: another output stride.
    """

    torchvision_weights = "ResNet50_Weights.IMAGENET1K_V2"

    def __init__(self, *, output_stride: int = 16) -> None:
        net = resnet50(weights=None, replace_stride_with_dilation=_dilated_stages(output_stride))
        super().__init__(net, output_stride=output_stride)


class ResNet101(ResNet):
    """ResNet-101 as a `ResNet` backbone, with the arguments of `ResNet50`."""

    torchvision_weights = "ResNet101_Weights.IMAGENET1K_V2"

    def __init__(self, *, output_stride: int = 16) -> None:
        net = resnet101(weights=None, replace_stride_with_dilation=_dilated_stages(output_stride))
        super().__init__(net, output_stride=output_stride)


class _MobileNet(Backbone):
    """The ``features`` of a MobileNet, which also return two intermediate maps."""

    def __init__(
        self, features: nn.Sequential, *, output_stride: int, low_index: int, middle_index: int
    ) -> None:
        super().__init__()
        _check_output_stride(output_stride)
        # The strides mark where stages begin, so they are read before they become dilations.
        self._starts = stage_starts(features)
        limit_stride(features, output_stride)
        use_usual_momentum(features)
        self.features = features
        self.output_stride = output_stride
        self._low_index = low_index
        self._middle_index = middle_index

    def forward(self, x: Tensor) -> Features:
        """Return the two intermediate maps and the last one."""
        low = middle = x
        for index, block in enumerate(self.features):
            x = block(x)
            if index == self._low_index:
                low = x
            if index == self._middle_index:
                middle = x
        return Features(low, middle, x)

    def stages(self) -> tuple[Stage, ...]:
        """Return ``features`` split at the blocks with stride, also where it became dilation."""
        taps = {self._low_index: "low", self._middle_index: "middle"}
        taps[len(self.features) - 1] = "high"
        return feature_stages([*self._starts, len(self.features)], taps)


class MobileNetV2(_MobileNet):
    """MobileNetV2 up to its last bottleneck (Sandler et al. 2018, arXiv:1801.04381).

    ``low`` is ``[N, 24, H/4, W/4]``, ``middle`` ``[N, 96, H/S, W/S]`` and ``high``
    ``[N, 320, H/S, W/S]``, sizes rounded up. The 1x1 layer to 1280 channels belongs to the
    classifier and is left out, as in section 6.3.

    Args:
        output_stride: 8 or 16; strides beyond it are replaced by dilation.

    Raises:
        UsageError: another output stride.
    """

    torchvision_weights = "MobileNet_V2_Weights.IMAGENET1K_V2"

    def __init__(self, *, output_stride: int = 16) -> None:
        features = mobilenet_v2(weights=None).features[:-1]
        super().__init__(features, output_stride=output_stride, low_index=3, middle_index=13)
        self.low_stride = 4
        self.low_channels = 24
        self.middle_channels = 96
        self.high_channels = 320


class MobileNetV3Large(_MobileNet):
    """MobileNetV3-Large with its last 1x1 layer (Howard et al. 2019, arXiv:1905.02244).

    ``low`` is ``[N, 24, H/4, W/4]`` or ``[N, 40, H/8, W/8]``, ``middle`` ``[N, 112, H/S, W/S]`` and
    ``high`` ``[N, 960, H/S, W/S]``, sizes rounded up.

    Args:
        output_stride: 8 or 16; strides beyond it are replaced by dilation.
        low_stride: stride of ``low``, 4 or 8.

    Raises:
        UsageError: another output stride.
    """

    torchvision_weights = "MobileNet_V3_Large_Weights.IMAGENET1K_V2"

    def __init__(self, *, output_stride: int = 16, low_stride: int = 4) -> None:
        low_index, low_channels = {4: (3, 24), 8: (6, 40)}[low_stride]
        features = mobilenet_v3_large(weights=None).features
        super().__init__(
            features, output_stride=output_stride, low_index=low_index, middle_index=12
        )
        self.low_stride = low_stride
        self.low_channels = low_channels
        self.middle_channels = 112
        self.high_channels = 960


class VGGFeatures(NamedTuple):
    """Float maps of a batch at strides 8, 16 and 32, with 256, 512 and 4096 channels."""

    pool3: Tensor
    pool4: Tensor
    fc7: Tensor


class VGG16(nn.Module):
    """VGG-16 with its first two linear layers as convolutions (Long et al. 2015, section 3.1).

    Images ``[N, 3, H, W]``, H and W multiples of 32, to `VGGFeatures`. fc6 has a 7x7 kernel and
    padding 3, so that fc7 has the size of pool5, ``[N, 4096, H/32, W/32]``. (The paper pads the
    image by 100 pixels instead.) Both are followed by ReLU and `torch.nn.Dropout2d` of 0.5.

    Attributes:
        torchvision_weights: name of torchvision's weights that ``imagenet`` means.
        output_stride: input pixels per cell of fc7.
    """

    torchvision_weights = "VGG16_Weights.IMAGENET1K_V1"

    def __init__(self) -> None:
        super().__init__()
        self.output_stride = 32
        layers: list[nn.Module] = []
        channels = 3
        for block in VGG16_BLOCKS:
            for width in block:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.fc6 = nn.Conv2d(512, 4096, 7)
        self.fc7 = nn.Conv2d(4096, 4096, 1)
        self.dropout = nn.Dropout2d(0.5)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):
                # Without BatchNorm the weights alone must keep the variance of the activations;
                # with `fan_out`, fc6 would shrink them threefold.
                nn.init.kaiming_normal_(part.weight, mode="fan_in", nonlinearity="relu")
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, x: Tensor) -> VGGFeatures:
        """Return the maps after pool3, pool4 and fc7."""
        pools: list[Tensor] = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(x)
        # With `padding=3`, oneDNN's gradient takes ten times as long or more on maps smaller than
        # the kernel, that is, for images below 224 pixels.
        x = self.dropout(F.relu(self.fc6(F.pad(x, (3, 3, 3, 3)))))
        x = self.dropout(F.relu(self.fc7(x)))
        return VGGFeatures(pools[2], pools[3], x)

    def stages(self) -> tuple[Stage, ...]:
        """Return the five blocks for the diagram, each named after the pooling that ends it."""
        return pooled_stages(self.features)


def limit_stride(features: nn.Module, output_stride: int) -> None:
    """Replace strides beyond an output stride by dilation, in place.

    A convolution whose stride would exceed the limit gets stride 1, and the dilation of all later
    ones is doubled; its own dilation stays. So every kernel covers the same inputs as in
    pre-training, and without global pooling every second cell of the new map equals the old map
    exactly (Chen et al. 2017, arXiv:1706.05587, section 3.1).

    Args:
        features: convolutions registered in the order in which they run, with square odd kernels
            and strides of 1 or 2.
        output_stride: the limit, in input pixels per cell.
    """
    stride, dilation = 1, 1
    for conv in features.modules():
        if not isinstance(conv, nn.Conv2d):
            continue
        own_stride, own_dilation = conv.stride[0], dilation
        if own_stride > 1 and stride >= output_stride:
            dilation *= own_stride
            conv.stride = (1, 1)
        else:
            stride *= own_stride
        padding = own_dilation * (conv.kernel_size[0] // 2)
        conv.dilation, conv.padding = (own_dilation, own_dilation), (padding, padding)


def pooled_stages(features: nn.Sequential) -> tuple[Stage, ...]:
    """Return the blocks of the ``features`` of a VGG, each named after the pooling that ends it."""
    pools = [i for i, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
    stages = []
    for number, pool in enumerate(pools, start=1):
        first = 0 if number == 1 else pools[number - 2] + 1
        modules = tuple(f"features.{index}" for index in range(first, pool + 1))
        stages.append(Stage(f"pool{number}", modules, tap=f"pool{number}"))
    return tuple(stages)


def stage_starts(features: nn.Sequential) -> list[int]:
    """Return the indices of the blocks with stride in the ``features`` of a MobileNet."""
    return [index for index, block in enumerate(features) if _is_strided(block)]


def feature_stages(bounds: Sequence[int], taps: Mapping[int, str]) -> tuple[Stage, ...]:
    """Return the stages of the ``features`` of a MobileNet for the diagram.

    Args:
        bounds: index of the first block of each stage, and the end of the last stage.
        taps: index of a block -> name of its output among the maps of the backbone.
    """
    return tuple(
        Stage(
            f"features {first}–{end - 1}" if end - first > 1 else f"features {first}",
            tuple(f"features.{index}" for index in range(first, end)),
            taps.get(end - 1, ""),
        )
        for first, end in pairwise(bounds)
    )


def _is_strided(block: nn.Module) -> bool:
    return any(isinstance(part, nn.Conv2d) and part.stride[0] > 1 for part in block.modules())


def _dilated_stages(output_stride: int) -> list[bool]:
    """Return which of the last three stages of a ResNet have dilation instead of stride."""
    _check_output_stride(output_stride)
    return [False, output_stride == 8, True]


def _check_output_stride(output_stride: int) -> None:
    if output_stride not in (8, 16):
        raise UsageError(f"output_stride is 8 or 16, not {output_stride}")
