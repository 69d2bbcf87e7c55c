"""The table of networks: their names, what they return and what they need. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from typing import Any

from dlcvcli.errors import MissingExtra, UsageError, nearest
from dlcvcli.models.entry import OUTPUTS, ModelEntry, Variant
from dlcvcli.models.torchvision_names import CLASSIFIERS, LEAST_SIDE, LEAST_SIDES, ONLY_SIZES

# Prefix of the names of timm's networks.
TIMM = "timm/"

_DEEPLABV3PLUS = "Chen et al. 2018, arXiv:1802.02611"
_DEEPLABV3 = "Chen et al. 2017, arXiv:1706.05587"
_MOBILENET_V3 = "Howard et al. 2019, arXiv:1905.02244"
_FCN = "Long, Shelhamer and Darrell 2015, arXiv:1411.4038"
_PROTONET = "Snell, Swersky and Zemel 2017, arXiv:1703.05175"
_VGG = "Simonyan and Zisserman 2015, arXiv:1409.1556"
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

_RESNET_STEMS = (Variant("stem", "3x3", stride=8, least_side=8),)


def _encoder(
    name: str,
    stride: int,
    summary: str,
    source: str,
    *,
    weights: tuple[str, ...] = (),
    module: str = "torchvision_encoders",
    variants: tuple[Variant, ...] = (),
) -> ModelEntry:
    """Return the entry of an encoder, which needs one cell of its deepest map."""
    return ModelEntry(
        name=name,
        gives="vectors",
        builder=f"dlcvcli.models.{module}:{name}",
        stride=stride,
        least_side=stride,
        min_train_batch=1,
        summary=summary,
        source=source,
        weights=weights,
        variants=variants,
    )


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
    _encoder(
        "conv4",
        16,
        "four convolutions: 64 values at 28x28, 1600 at 84x84",
        _PROTONET,
        module="conv4",
    ),
    _encoder(
        "resnet9",
        8,
        "ResNet-9, 512 values: for images of 32x32, fast",
        "Coleman et al. 2017, DAWNBench; D. Page 2018, How to Train Your ResNet",
        module="resnet9",
    ),
    _encoder(
        "resnet12",
        16,
        "ResNet-12, 640 values: the usual larger encoder of few-shot learning",
        "Lee et al. 2019, arXiv:1904.03758",
        module="resnet12",
    ),
    _encoder(
        "resnet18",
        32,
        "ResNet-18 without its classifier, 512 values",
        _RESNET,
        weights=("ResNet18_Weights.IMAGENET1K_V1",),
        variants=_RESNET_STEMS,
    ),
    _encoder(
        "resnet34",
        32,
        "ResNet-34 without its classifier, 512 values",
        _RESNET,
        weights=("ResNet34_Weights.IMAGENET1K_V1",),
        variants=_RESNET_STEMS,
    ),
    _encoder(
        "resnet50",
        32,
        "ResNet-50 without its classifier, 2048 values",
        _RESNET,
        weights=_RESNET50_WEIGHTS,
        variants=_RESNET_STEMS,
    ),
    _encoder(
        "resnet101",
        32,
        "ResNet-101 without its classifier, 2048 values",
        _RESNET,
        weights=_RESNET101_WEIGHTS,
        variants=_RESNET_STEMS,
    ),
    _encoder(
        "vgg16",
        32,
        "VGG-16 without its last layer, 4096 values: many parameters",
        _VGG,
        weights=_VGG16_WEIGHTS,
    ),
    _encoder(
        "mobilenet_v3_large",
        32,
        "MobileNetV3-Large without its classifier, 960 values: small",
        _MOBILENET_V3,
        weights=_MOBILENET_V3_WEIGHTS,
    ),
    _encoder(
        "mobilenet_v3_small",
        32,
        "MobileNetV3-Small without its classifier, 576 values: the fastest",
        _MOBILENET_V3,
        weights=("MobileNet_V3_Small_Weights.IMAGENET1K_V1",),
    ),
    _encoder(
        "efficientnet_b0",
        32,
        "EfficientNet-B0 without its classifier, 1280 values",
        "Tan and Le 2019, arXiv:1905.11946",
        weights=("EfficientNet_B0_Weights.IMAGENET1K_V1",),
    ),
    _encoder(
        "convnext_tiny",
        32,
        "ConvNeXt-Tiny without its classifier, 768 values",
        "Liu et al. 2022, arXiv:2201.03545",
        weights=("ConvNeXt_Tiny_Weights.IMAGENET1K_V1",),
    ),
)

# The networks with an entry of their own.
MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}

# All others of torchvision's classifiers.
OTHERS: dict[str, ModelEntry] = {
    name: ModelEntry(
        name=name,
        gives="vectors",
        builder="dlcvcli.models.library_encoders:torchvision_encoder",
        stride=32,
        least_side=LEAST_SIDES.get(name, LEAST_SIDE),
        only_size=ONLY_SIZES.get(name),
        min_train_batch=1,
        summary=f"torchvision's {name} without its last layer",
        source=f"torchvision.models.{name}",
        weights=(weights,),
        library_name=name,
    )
    for name, weights in CLASSIFIERS.items()
}


def model_names(gives: str | None = None) -> tuple[str, ...]:
    """Return the names in the table's order: all, or those of the networks that give `gives`."""
    return tuple(name for name, entry in MODELS.items() if gives in (None, entry.gives))


def all_names(gives: str | None = None) -> tuple[str, ...]:
    """Return the names as `model_names` does, and then torchvision's others."""
    others = (name for name, entry in OTHERS.items() if gives in (None, entry.gives))
    return (*model_names(gives), *others)


def model_entry(name: str, options: Mapping[str, Any] | None = None) -> ModelEntry:
    """Look up a network by name.

    Args:
        name: a key of `MODELS` or `OTHERS`, or ``timm/NAME``.
        options: options of its builder, some of which change the entry.

    Raises:
        UsageError: no network has that name; the hint holds the nearest one.
        MissingExtra: a network of timm, which is not installed.
    """
    return _look_up(name, all_names(), options or {})


def require_network(name: str, gives: str) -> ModelEntry:
    """Look up a network by name and check what it gives.

    Args:
        name: as in `model_entry`.
        gives: ``masks`` or ``vectors``.

    Raises:
        UsageError: no network has that name, or it gives something else.
        MissingExtra: a network of timm, which is not installed.
    """
    entry = _look_up(name, all_names(gives), {})
    if entry.gives != gives:
        raise UsageError(
            f"model '{name}' gives {OUTPUTS[entry.gives]}, not {OUTPUTS[gives]}",
            f"choose one of {', '.join(model_names(gives))}",
        )
    return entry


def fits_size(entry: ModelEntry, size: tuple[int, int]) -> bool:
    """Return whether a network takes images of a size (height, width)."""
    return size == entry.only_size if entry.only_size else min(size) >= entry.least_side


def require_size(entry: ModelEntry, size: tuple[int, int]) -> None:
    """Check that a network takes images of a size (height, width).

    Raises:
        UsageError: the images are too small, or the network takes another size only.
    """
    if fits_size(entry, size):
        return
    least = entry.least_side
    height, width = entry.only_size or (least, least)
    needs, hint = "images of at least", "choose a larger --size"
    if entry.only_size:
        needs, hint = "images of exactly", f"add --size {height}x{width}"
    raise UsageError(
        f"{entry.name} needs {needs} {height}x{width}, and gets {size[0]}x{size[1]}", hint
    )


def _look_up(name: str, known: tuple[str, ...], options: Mapping[str, Any]) -> ModelEntry:
    """Return the entry of a network, at its options; the hint of the error is one of `known`."""
    if name.startswith(TIMM):
        return _timm_entry(name)
    entry = MODELS.get(name) or OTHERS.get(name)
    if entry is None:
        raise UsageError(f"no model is called '{name}'", nearest(name, known))
    for variant in entry.variants:
        if options.get(variant.option) == variant.value:
            return replace(entry, stride=variant.stride, least_side=variant.least_side)
    return entry


@cache
def _timm_entry(name: str) -> ModelEntry:
    """Return the entry of one of timm's networks. Imports timm, and so torch."""
    if find_spec("timm") is None:
        raise MissingExtra(
            f"model '{name}' needs timm, which is not installed",
            "in dlcv's source folder: pip install '.[train,timm]'",
        )
    import timm

    library_name = name.removeprefix(TIMM)
    if not timm.is_model(library_name):
        known = [f"{TIMM}{known}" for known in timm.list_models()]
        raise UsageError(f"no model is called '{name}'", nearest(name, known))
    config = timm.get_pretrained_cfg(library_name)
    only_size = config.input_size[1:] if config and config.fixed_input_size else None
    return ModelEntry(
        name=name,
        gives="vectors",
        builder="dlcvcli.models.library_encoders:timm_encoder",
        stride=32,
        only_size=only_size,
        min_train_batch=1,
        summary=f"timm's {library_name} without its classifier",
        source=f"timm.models, {library_name}",
        library_name=library_name,
    )
