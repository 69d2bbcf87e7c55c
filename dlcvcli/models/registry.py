"""The table of networks: their names, what they return and what they need. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlcvcli.errors import UsageError, nearest

# masks: logits of every pixel. vectors: one embedding per image.
Gives = Literal["masks", "vectors"]

OUTPUTS: dict[str, str] = {
    "masks": "logits of every pixel",
    "vectors": "one embedding per image",
}

# Height and width at which networks are profiled and drawn by default. For encoders it is the size
# of mini-ImageNet (Vinyals et al. 2016, arXiv:1606.04080).
USUAL_SIZES: dict[Gives, tuple[int, int]] = {"masks": (512, 512), "vectors": (84, 84)}


@dataclass(frozen=True)
class ModelEntry:
    """Facts about a network that are known without importing it.

    Attributes:
        name: its name on the command line.
        gives: what it returns for a batch of images.
        builder: ``module:function``. The function takes keywords only: networks that give masks
            take ``num_classes`` and ``weights_backbone``, encoders take ``weights``.
        stride: pixels of the image per cell of the deepest feature map, at default options.
        min_train_batch: smallest number of images in a training batch: 2 where a BatchNorm sees
            1x1 maps, which have no variance within one image, else 1.
        summary: one line for the listing.
        source: the paper.
        weights: names of torchvision's weights that fit the backbone; ``imagenet`` means the first.
        least_side: smallest height and width that it takes, in pixels.
    """

    name: str
    gives: Gives
    builder: str
    stride: int
    min_train_batch: int
    summary: str
    source: str
    weights: tuple[str, ...] = ()
    least_side: int = 1

    @property
    def has_classes(self) -> bool:
        """Whether its output has one channel per class."""
        return self.gives == "masks"

    @property
    def pad_multiple(self) -> int:
        """The number of pixels to a multiple of which height and width are padded."""
        return self.stride if self.gives == "masks" else 1


_DEEPLABV3PLUS = "Chen et al. 2018, arXiv:1802.02611"
_DEEPLABV3 = "Chen et al. 2017, arXiv:1706.05587"
_MOBILENET_V3 = "Howard et al. 2019, arXiv:1905.02244"
_FCN = "Long, Shelhamer and Darrell 2015, arXiv:1411.4038"
_PROTONET = "Snell, Swersky and Zemel 2017, arXiv:1703.05175"
_RESNET = "He et al. 2016, arXiv:1512.03385"

_RESNET50_WEIGHTS = ("ResNet50_Weights.IMAGENET1K_V2", "ResNet50_Weights.IMAGENET1K_V1")
_RESNET101_WEIGHTS = ("ResNet101_Weights.IMAGENET1K_V2", "ResNet101_Weights.IMAGENET1K_V1")
_MOBILENET_V2_WEIGHTS = (
    "MobileNet_V2_Weights.IMAGENET1K_V2",
    "MobileNet_V2_Weights.IMAGENET1K_V1",
)
_MOBILENET_V3_WEIGHTS = (
    "MobileNet_V3_Large_Weights.IMAGENET1K_V2",
    "MobileNet_V3_Large_Weights.IMAGENET1K_V1",
)
_VGG16_WEIGHTS = ("VGG16_Weights.IMAGENET1K_V1",)

_ENTRIES = (
    ModelEntry(
        name="deeplabv3plus_resnet50",
        gives="masks",
        builder="dlcvcli.models.deeplab:deeplabv3plus_resnet50",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3+ on ResNet-50: accurate",
        source=_DEEPLABV3PLUS,
        weights=_RESNET50_WEIGHTS,
    ),
    ModelEntry(
        name="deeplabv3plus_resnet101",
        gives="masks",
        builder="dlcvcli.models.deeplab:deeplabv3plus_resnet101",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3+ on ResNet-101: a backbone of twice the FLOPs",
        source=_DEEPLABV3PLUS,
        weights=_RESNET101_WEIGHTS,
    ),
    ModelEntry(
        name="deeplabv3plus_mobilenet_v2",
        gives="masks",
        builder="dlcvcli.models.deeplab:deeplabv3plus_mobilenet_v2",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3+ on MobileNetV2, separable head: small",
        source=_DEEPLABV3PLUS,
        weights=_MOBILENET_V2_WEIGHTS,
    ),
    ModelEntry(
        name="deeplabv3plus_mobilenet_v3_large",
        gives="masks",
        builder="dlcvcli.models.deeplab:deeplabv3plus_mobilenet_v3_large",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3+ on MobileNetV3-Large, separable head: small, trains on a CPU",
        source=_DEEPLABV3PLUS,
        weights=_MOBILENET_V3_WEIGHTS,
    ),
    ModelEntry(
        name="deeplabv3_resnet50",
        gives="masks",
        builder="dlcvcli.models.deeplab:deeplabv3_resnet50",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3 on ResNet-50: no decoder, optional auxiliary head",
        source=_DEEPLABV3,
        weights=_RESNET50_WEIGHTS,
    ),
    ModelEntry(
        name="deeplabv3_resnet101",
        gives="masks",
        builder="dlcvcli.models.deeplab:deeplabv3_resnet101",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3 on ResNet-101: no decoder, optional auxiliary head",
        source=_DEEPLABV3,
        weights=_RESNET101_WEIGHTS,
    ),
    ModelEntry(
        name="fcn32s_vgg16",
        gives="masks",
        builder="dlcvcli.models.fcn:fcn32s_vgg16",
        stride=32,
        min_train_batch=1,
        summary="FCN-32s on VGG-16: the baseline, coarse masks, many parameters",
        source=_FCN,
        weights=_VGG16_WEIGHTS,
    ),
    ModelEntry(
        name="fcn16s_vgg16",
        gives="masks",
        builder="dlcvcli.models.fcn:fcn16s_vgg16",
        stride=32,
        min_train_batch=1,
        summary="FCN-16s on VGG-16: adds the scores of pool4",
        source=_FCN,
        weights=_VGG16_WEIGHTS,
    ),
    ModelEntry(
        name="fcn8s_vgg16",
        gives="masks",
        builder="dlcvcli.models.fcn:fcn8s_vgg16",
        stride=32,
        min_train_batch=1,
        summary="FCN-8s on VGG-16: adds the scores of pool4 and pool3",
        source=_FCN,
        weights=_VGG16_WEIGHTS,
    ),
    ModelEntry(
        name="lraspp_mobilenet_v3_large",
        gives="masks",
        builder="dlcvcli.models.lraspp:lraspp_mobilenet_v3_large",
        stride=16,
        min_train_batch=1,
        summary="LR-ASPP on MobileNetV3-Large: the fastest",
        source=_MOBILENET_V3,
        weights=_MOBILENET_V3_WEIGHTS,
    ),
    ModelEntry(
        name="conv4",
        gives="vectors",
        builder="dlcvcli.models.conv4:conv4",
        stride=16,
        least_side=16,
        min_train_batch=1,
        summary="four convolutions: 64 values at 28x28, 1600 at 84x84",
        source=_PROTONET,
    ),
    ModelEntry(
        name="resnet12",
        gives="vectors",
        builder="dlcvcli.models.resnet12:resnet12",
        stride=16,
        least_side=16,
        min_train_batch=1,
        summary="ResNet-12, 640 values: the usual larger encoder of few-shot learning",
        source="Lee et al. 2019, arXiv:1904.03758",
    ),
    ModelEntry(
        name="resnet18",
        gives="vectors",
        builder="dlcvcli.models.torchvision_encoders:resnet18",
        stride=32,
        least_side=32,
        min_train_batch=1,
        summary="ResNet-18 without its classifier, 512 values",
        source=_RESNET,
        weights=("ResNet18_Weights.IMAGENET1K_V1",),
    ),
    ModelEntry(
        name="resnet34",
        gives="vectors",
        builder="dlcvcli.models.torchvision_encoders:resnet34",
        stride=32,
        least_side=32,
        min_train_batch=1,
        summary="ResNet-34 without its classifier, 512 values",
        source=_RESNET,
        weights=("ResNet34_Weights.IMAGENET1K_V1",),
    ),
    ModelEntry(
        name="resnet50",
        gives="vectors",
        builder="dlcvcli.models.torchvision_encoders:resnet50",
        stride=32,
        least_side=32,
        min_train_batch=1,
        summary="ResNet-50 without its classifier, 2048 values",
        source=_RESNET,
        weights=_RESNET50_WEIGHTS,
    ),
    ModelEntry(
        name="mobilenet_v3_large",
        gives="vectors",
        builder="dlcvcli.models.torchvision_encoders:mobilenet_v3_large",
        stride=32,
        least_side=32,
        min_train_batch=1,
        summary="MobileNetV3-Large without its classifier, 960 values: small",
        source=_MOBILENET_V3,
        weights=_MOBILENET_V3_WEIGHTS,
    ),
)

MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}


def model_names(gives: str | None = None) -> tuple[str, ...]:
    """Return the names of the networks in the table's order: all, or those that give `gives`."""
    return tuple(name for name, entry in MODELS.items() if gives in (None, entry.gives))


def model_entry(name: str) -> ModelEntry:
    """Look up a network by name.

    Raises:
        UsageError: no network has that name; the hint holds the nearest one.
    """
    if name not in MODELS:
        raise UsageError(f"no model is called '{name}'", nearest(name, MODELS))
    return MODELS[name]


def require_network(name: str, gives: str) -> ModelEntry:
    """Look up a network by name and check what it gives.

    Args:
        name: a key of `MODELS`.
        gives: ``masks`` or ``vectors``.

    Raises:
        UsageError: no network has that name, or it gives something else.
    """
    names = model_names(gives)
    if name not in MODELS:
        raise UsageError(f"no model is called '{name}'", nearest(name, names))
    entry = MODELS[name]
    if entry.gives != gives:
        raise UsageError(
            f"model '{name}' gives {OUTPUTS[entry.gives]}, not {OUTPUTS[gives]}",
            f"choose one of {', '.join(names)}",
        )
    return entry


def fits_size(entry: ModelEntry, size: tuple[int, int]) -> bool:
    """Return whether a network takes images of a size (height, width)."""
    return min(size) >= entry.least_side


def require_size(entry: ModelEntry, size: tuple[int, int]) -> None:
    """Check that a network takes images of a size (height, width).

    Raises:
        UsageError: the images are too small.
    """
    if not fits_size(entry, size):
        least = entry.least_side
        raise UsageError(
            f"{entry.name} needs images of at least {least}x{least}, and gets {size[0]}x{size[1]}",
            "choose a larger --size",
        )
