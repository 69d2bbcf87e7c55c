"""Build networks by name. Torch is imported with the module of the network."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from dlcvcli.config.names import RESERVED_OPTIONS
from dlcvcli.errors import UsageError, nearest, shorten
from dlcvcli.models.entry import Gives
from dlcvcli.models.registry import model_entry, require_network

if TYPE_CHECKING:
    from dlcvcli.models.encoder import Encoder
    from dlcvcli.models.network import SegmentationNetwork


def build_network(
    name: str, /, *, num_classes: int, weights: str = "none", **options: Any
) -> SegmentationNetwork:
    """Build a segmentation network.

    Args:
        name: a key of `MODELS` that gives masks.
        num_classes: number of output channels.
        weights: initial weights: ``none`` (random), ``imagenet`` (torchvision's weights for the
            backbone, downloaded once) or the path of a checkpoint (see `dlcvcli.models.weights`).
        options: further keywords of the builder, such as ``output_stride``.

    Returns:
        A float32 module on the CPU in training mode. Its ``load_report`` lists the weights that
        were loaded, and is None where none were.

    Raises:
        UsageError: an unknown name or option, or a value that an option does not allow.
        CheckpointError: the weights cannot be found or read, or do not fit.
    """
    weights_backbone = None if weights == "none" else weights
    network = _build(
        name, "masks", options, num_classes=num_classes, weights_backbone=weights_backbone
    )
    return cast("SegmentationNetwork", network)


def build_encoder(name: str, /, *, weights: str = "none", **options: Any) -> Encoder:
    """Build an encoder.

    Args:
        name: a network that gives vectors, as in `model_entry`.
        weights: initial weights: ``none`` (random), ``imagenet`` or the path of a file.
        options: further keywords of the builder, such as ``channels``.

    Returns:
        A float32 module on the CPU in training mode, with a ``load_report`` as in `build_network`.

    Raises:
        UsageError: an unknown name or option, or a value that an option does not allow.
        CheckpointError: the weights cannot be found or read, or do not fit.
    """
    encoder = _build(name, "vectors", options, weights=None if weights == "none" else weights)
    return cast("Encoder", encoder)


def builder_options(name: str) -> dict[str, Any]:
    """Return the options of a network's builder with their defaults. Imports torch.

    Raises:
        UsageError: no network has that name.
    """
    parameters = inspect.signature(import_builder(model_entry(name).builder)).parameters
    return {
        option: parameter.default
        for option, parameter in parameters.items()
        if option not in RESERVED_OPTIONS
    }


def import_builder(reference: str) -> Callable[..., object]:
    """Import the function that a ``module:function`` reference names."""
    module, _, function = reference.partition(":")
    return cast("Callable[..., object]", getattr(importlib.import_module(module), function))


def _build(name: str, gives: Gives, options: dict[str, Any], **keywords: Any) -> object:
    entry = require_network(name, gives)
    defaults = builder_options(name)
    for option, value in options.items():
        if option not in defaults:
            raise UsageError(
                f"model '{name}' has no option '{option}'",
                nearest(option, defaults) or "it has no options at all",
            )
        _check_option(name, option, value, defaults[option])
    builder = import_builder(entry.builder)
    if entry.library_name:
        keywords["name"] = entry.library_name
    try:
        return builder(**keywords, **options)
    except (ValueError, ArithmeticError, RuntimeError, MemoryError) as error:
        # Torch's layers raise these for an option's value that they do not take: a dropout of 2, a
        # negative width or a width for which there is no memory.
        if not options:
            raise
        reason = next(iter(str(error).splitlines()), "") or "too little memory"
        values = ", ".join(f"{key}={shorten(repr(value))}" for key, value in options.items())
        raise UsageError(
            f"model '{name}' cannot be built: {shorten(reason, 120)}", f"options given: {values}"
        ) from error


def _check_option(name: str, option: str, value: Any, default: Any) -> None:
    """Refuse a value of another type than the default's, and whole numbers below 1."""
    types: dict[type, tuple[str, tuple[type, ...]]] = {
        bool: ("true or false", (bool,)),
        int: ("a whole number", (int,)),
        float: ("a number", (int, float)),
    }
    description, allowed = types.get(type(default), ("", (object,)))
    # In Python a bool is an int.
    wrong_type = not isinstance(value, allowed) or (
        isinstance(value, bool) and type(default) in (int, float)
    )
    if wrong_type:
        raise UsageError(
            f"option '{option}' of model '{name}' is {description}, not {shorten(repr(value))}",
            f"the default is {default!r}",
        )
    if type(default) is int and value < 1:
        raise UsageError(
            f"option '{option}' of model '{name}' is at least 1, not {value}",
            f"the default is {default!r}",
        )
