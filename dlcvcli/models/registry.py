"""The table of networks: what each name means, and how it is built. Imports no torch."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from dlcvcli.config.names import RESERVED_OPTIONS
from dlcvcli.errors import UsageError, nearest, shorten

if TYPE_CHECKING:
    from torch import nn

    from dlcvcli.models.encoder import Encoder


@dataclass(frozen=True)
class ModelEntry:
    """Say what a network is, without importing it.

    Attributes:
        name: what users call it.
        task: what it is for; ``seg`` is semantic segmentation, ``fewshot`` an encoder of images.
        builder: ``module:function``; the function takes keywords only, of ``seg`` among them
            ``num_classes`` and ``weights_backbone``, of ``fewshot`` ``weights``.
        stride: of ``seg``, the multiple that inputs are padded to, in pixels. Any size works; at
            multiples of it the feature grid and the image line up exactly. Of ``fewshot``, the
            least height and width.
        min_train_batch: the least number of images in a training batch: 2 where a BatchNorm sees
            1x1 maps and so needs a second image to have a variance, else 1.
        summary: one line for people.
        source: the paper.
        weights: torchvision's names of the weights that fit the backbone, the one that
            ``imagenet`` means first.
    """

    name: str
    task: str
    builder: str
    stride: int
    min_train_batch: int
    summary: str
    source: str
    weights: tuple[str, ...]


_DEEPLAB = "Chen et al. 2018, arXiv:1802.02611"
_DEEPLABV3 = "Chen et al. 2017, arXiv:1706.05587"
_LRASPP = "Howard et al. 2019, arXiv:1905.02244"
_FCN = "Long, Shelhamer and Darrell 2015, arXiv:1411.4038"
_PROTONET = "Snell, Swersky and Zemel 2017, arXiv:1703.05175"
_RESNET = "He et al. 2016, arXiv:1512.03385"

_ENTRIES = (
    ModelEntry(
        name="deeplabv3plus_resnet50",
        task="seg",
        builder="dlcvcli.models.deeplab:deeplabv3plus_resnet50",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3+ on ResNet-50: the accurate one",
        source=_DEEPLAB,
        weights=("ResNet50_Weights.IMAGENET1K_V2", "ResNet50_Weights.IMAGENET1K_V1"),
    ),
    ModelEntry(
        name="deeplabv3plus_resnet101",
        task="seg",
        builder="dlcvcli.models.deeplab:deeplabv3plus_resnet101",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3+ on ResNet-101: deeper, twice the work in the backbone",
        source=_DEEPLAB,
        weights=("ResNet101_Weights.IMAGENET1K_V2", "ResNet101_Weights.IMAGENET1K_V1"),
    ),
    ModelEntry(
        name="deeplabv3plus_mobilenet_v2",
        task="seg",
        builder="dlcvcli.models.deeplab:deeplabv3plus_mobilenet_v2",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3+ on MobileNetV2, separable head: small",
        source=_DEEPLAB,
        weights=("MobileNet_V2_Weights.IMAGENET1K_V2", "MobileNet_V2_Weights.IMAGENET1K_V1"),
    ),
    ModelEntry(
        name="deeplabv3plus_mobilenet_v3_large",
        task="seg",
        builder="dlcvcli.models.deeplab:deeplabv3plus_mobilenet_v3_large",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3+ on MobileNetV3-Large, separable head: small, trains on a CPU",
        source=_DEEPLAB,
        weights=(
            "MobileNet_V3_Large_Weights.IMAGENET1K_V2",
            "MobileNet_V3_Large_Weights.IMAGENET1K_V1",
        ),
    ),
    ModelEntry(
        name="deeplabv3_resnet50",
        task="seg",
        builder="dlcvcli.models.deeplab:deeplabv3_resnet50",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3 on ResNet-50: no decoder; an auxiliary head on request",
        source=_DEEPLABV3,
        weights=("ResNet50_Weights.IMAGENET1K_V2", "ResNet50_Weights.IMAGENET1K_V1"),
    ),
    ModelEntry(
        name="deeplabv3_resnet101",
        task="seg",
        builder="dlcvcli.models.deeplab:deeplabv3_resnet101",
        stride=16,
        min_train_batch=2,
        summary="DeepLabV3 on ResNet-101",
        source=_DEEPLABV3,
        weights=("ResNet101_Weights.IMAGENET1K_V2", "ResNet101_Weights.IMAGENET1K_V1"),
    ),
    ModelEntry(
        name="fcn32s_vgg16",
        task="seg",
        builder="dlcvcli.models.fcn:fcn32s_vgg16",
        stride=32,
        min_train_batch=1,
        summary="FCN-32s on VGG-16: the first of its kind, coarse and heavy; a baseline",
        source=_FCN,
        weights=("VGG16_Weights.IMAGENET1K_V1",),
    ),
    ModelEntry(
        name="fcn16s_vgg16",
        task="seg",
        builder="dlcvcli.models.fcn:fcn16s_vgg16",
        stride=32,
        min_train_batch=1,
        summary="FCN-16s on VGG-16: the scores of pool4 sharpen it",
        source=_FCN,
        weights=("VGG16_Weights.IMAGENET1K_V1",),
    ),
    ModelEntry(
        name="fcn8s_vgg16",
        task="seg",
        builder="dlcvcli.models.fcn:fcn8s_vgg16",
        stride=32,
        min_train_batch=1,
        summary="FCN-8s on VGG-16: those of pool3 as well",
        source=_FCN,
        weights=("VGG16_Weights.IMAGENET1K_V1",),
    ),
    ModelEntry(
        name="lraspp_mobilenet_v3_large",
        task="seg",
        builder="dlcvcli.models.lraspp:lraspp_mobilenet_v3_large",
        stride=16,
        min_train_batch=1,
        summary="LR-ASPP on MobileNetV3-Large: the fastest",
        source=_LRASPP,
        weights=(
            "MobileNet_V3_Large_Weights.IMAGENET1K_V2",
            "MobileNet_V3_Large_Weights.IMAGENET1K_V1",
        ),
    ),
    ModelEntry(
        name="conv4",
        task="fewshot",
        builder="dlcvcli.models.conv4:conv4",
        stride=16,
        min_train_batch=1,
        summary="four convolutions: 64 values of an image at 28x28, 1600 at 84x84",
        source=_PROTONET,
        weights=(),
    ),
    ModelEntry(
        name="resnet12",
        task="fewshot",
        builder="dlcvcli.models.resnet12:resnet12",
        stride=16,
        min_train_batch=1,
        summary="ResNet-12, 640 values: what larger few-shot models are compared on",
        source="Lee et al. 2019, arXiv:1904.03758",
        weights=(),
    ),
    ModelEntry(
        name="resnet18",
        task="fewshot",
        builder="dlcvcli.models.torchvision_encoders:resnet18",
        stride=32,
        min_train_batch=1,
        summary="ResNet-18 without its classifier, 512 values",
        source=_RESNET,
        weights=("ResNet18_Weights.IMAGENET1K_V1",),
    ),
    ModelEntry(
        name="resnet34",
        task="fewshot",
        builder="dlcvcli.models.torchvision_encoders:resnet34",
        stride=32,
        min_train_batch=1,
        summary="ResNet-34 without its classifier, 512 values",
        source=_RESNET,
        weights=("ResNet34_Weights.IMAGENET1K_V1",),
    ),
    ModelEntry(
        name="resnet50",
        task="fewshot",
        builder="dlcvcli.models.torchvision_encoders:resnet50",
        stride=32,
        min_train_batch=1,
        summary="ResNet-50 without its classifier, 2048 values",
        source=_RESNET,
        weights=("ResNet50_Weights.IMAGENET1K_V2", "ResNet50_Weights.IMAGENET1K_V1"),
    ),
    ModelEntry(
        name="mobilenet_v3_large",
        task="fewshot",
        builder="dlcvcli.models.torchvision_encoders:mobilenet_v3_large",
        stride=32,
        min_train_batch=1,
        summary="MobileNetV3-Large without its classifier, 960 values: small",
        source=_LRASPP,
        weights=(
            "MobileNet_V3_Large_Weights.IMAGENET1K_V2",
            "MobileNet_V3_Large_Weights.IMAGENET1K_V1",
        ),
    ),
)

MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}

# Height and width at which the networks of a task are counted and drawn unless told otherwise: for
# encoders that of mini-ImageNet (Vinyals et al. 2016, arXiv:1606.04080).
USUAL_SIZES: dict[str, tuple[int, int]] = {"seg": (512, 512), "fewshot": (84, 84)}


def model_names(task: str | None = None) -> tuple[str, ...]:
    """List the names of the networks, of one task or of all, in the table's order."""
    task = {"masks": "seg", "vectors": "fewshot"}.get(task or "", task)
    return tuple(name for name, entry in MODELS.items() if task is None or entry.task == task)


def model_entry(name: str) -> ModelEntry:
    """Look a network up.

    Raises:
        UsageError: no network has that name; the hint has the nearest one.
    """
    entry = MODELS.get(name)
    if entry is None:
        raise UsageError(f"no model is called '{name}'", nearest(name, MODELS))
    return entry


def build_network(
    name: str, /, *, num_classes: int, weights: str = "none", **options: Any
) -> nn.Module:
    """Build a network by name.

    Args:
        name: a key of `MODELS`.
        num_classes: number of output channels.
        weights: what fills it: ``none`` (random), ``imagenet`` (the backbone, with torchvision's
            weights, downloaded once) or the path of a checkpoint (see `dlcvcli.models.weights`).
        options: further keywords of the builder, such as ``output_stride``.

    Returns:
        A module on the CPU, in training mode, float32. What was loaded into it stands in
        its ``load_report`` (a `LoadReport`, or None where nothing was loaded).

    Raises:
        UsageError: unknown name or option, or a value that an option does not allow.
        CheckpointError: the weights cannot be had, read or fitted.
    """
    weights_backbone = None if weights == "none" else weights
    network = _build(
        name, "seg", options, num_classes=num_classes, weights_backbone=weights_backbone
    )
    return cast("nn.Module", network)


def build_encoder(name: str, /, *, weights: str = "none", **options: Any) -> Encoder:
    """Build an encoder of few-shot learning by name.

    Args:
        name: a key of `MODELS`.
        weights: what fills it: ``none`` (random), ``imagenet`` or the path of a file.
        options: further keywords of the builder, such as ``channels``.

    Returns:
        A module on the CPU, in training mode, float32; see `build_network`.

    Raises:
        UsageError: unknown name or option, or a value that an option does not allow.
        CheckpointError: the weights cannot be had, read or fitted.
    """
    encoder = _build(name, "fewshot", options, weights=None if weights == "none" else weights)
    return cast("Encoder", encoder)


def require_network(name: str, gives: str) -> ModelEntry:
    """Stand-in."""
    return require_task(name, {"masks": "seg", "vectors": "fewshot"}[gives])


def require_task(name: str, task: str) -> ModelEntry:
    """Look a network up that is for a task.

    Raises:
        UsageError: there is none of that name, or it is for another task.
    """
    names = model_names(task)
    if name not in MODELS:
        raise UsageError(f"no model is called '{name}'", nearest(name, names))
    entry = MODELS[name]
    if entry.task != task:
        raise UsageError(
            f"model '{name}' is for task {entry.task}, not {task}",
            f"choose one of {', '.join(names)}",
        )
    return entry


def fits_size(entry: ModelEntry, size: tuple[int, int]) -> bool:
    """Return whether a network takes images of a size (height, width); ``seg`` takes every one."""
    return entry.task != "fewshot" or min(size) >= entry.stride


def require_size(entry: ModelEntry, size: tuple[int, int]) -> None:
    """Check that a network takes images of a size (height, width).

    Raises:
        UsageError: they are too small for an encoder.
    """
    if not fits_size(entry, size):
        least = entry.stride
        raise UsageError(
            f"{entry.name} needs images of at least {least}x{least}, and gets {size[0]}x{size[1]}",
            "choose a larger --size",
        )


def _build(name: str, task: str, options: dict[str, Any], **keywords: Any) -> object:
    entry = require_task(name, task)
    known = builder_options(name)
    for option, value in options.items():
        if option not in known:
            raise UsageError(
                f"model '{name}' has no option '{option}'",
                nearest(option, known) or "it has no options at all",
            )
        _check_kind(name, option, value, known[option])
    builder = _import_builder(entry.builder)
    try:
        return builder(**keywords, **options)
    except (ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        # Of a layer that was handed an option's value as it is, such as a dropout of 2, or a width
        # that is negative or that no memory holds.
        if not options:
            raise
        reason = next(iter(str(error).splitlines()), "") or "too little memory"
        raise UsageError(
            f"model '{name}' cannot be built: {shorten(reason, 120)}", _given(options)
        ) from error


def builder_options(name: str) -> dict[str, Any]:
    """Return the options of a network's builder with their defaults. Imports torch.

    Raises:
        UsageError: no network has that name.
    """
    parameters = inspect.signature(_import_builder(model_entry(name).builder)).parameters
    return {
        option: parameter.default
        for option, parameter in parameters.items()
        if option not in RESERVED_OPTIONS
    }


def _check_kind(name: str, option: str, value: Any, default: Any) -> None:
    """Refuse a value of another kind than the default's; a word for a switch would turn it on."""
    kinds: dict[type, tuple[str, tuple[type, ...]]] = {
        bool: ("true or false", (bool,)),
        int: ("a whole number", (int,)),
        float: ("a number", (int, float)),
    }
    words, allowed = kinds.get(type(default), ("", (object,)))
    # Python takes true for the number 1.
    if not isinstance(value, allowed) or (
        isinstance(value, bool) and type(default) in (int, float)
    ):
        raise UsageError(
            f"option '{option}' of model '{name}' is {words}, not {shorten(repr(value))}",
            f"the default is {default!r}",
        )
    if type(default) is int and isinstance(value, int) and value < 1:
        raise UsageError(
            f"option '{option}' of model '{name}' is at least 1, not {value}",
            f"the default is {default!r}",
        )


def _given(options: dict[str, Any]) -> str:
    return "options given: " + ", ".join(
        f"{key}={shorten(repr(value))}" for key, value in options.items()
    )


def _import_builder(reference: str) -> Callable[..., nn.Module]:
    module, _, function = reference.partition(":")
    return cast("Callable[..., nn.Module]", getattr(importlib.import_module(module), function))
