"""Fine-tune parts of an encoder: its blocks, frozen blocks, learning rates from block to block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from dlcvcli.errors import UsageError, nearest
from dlcvcli.models.encoder import Encoder

# Freezes the complete encoder.
ALL = "all"

_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_NORMS = (_NormBase, nn.LayerNorm, nn.GroupNorm)


class LayerScale(NamedTuple):
    """A block's trainable parameters and the factor on their learning rate."""

    name: str
    parameters: list[nn.Parameter]
    scale: float


def block_names(encoder: Encoder) -> tuple[str, ...]:
    """Return the names of an encoder's blocks in the order in which they run.

    Stages come before their own blocks: ``conv1, layer1, layer1.0, layer1.1, layer2, ...``. The
    names are those of the library that the network comes from. Layers of a block have no names
    here, nor has a normalisation layer, which belongs to the block before it.
    """
    return tuple(_blocks(encoder.feature_extractor))


def freeze(encoder: Encoder, up_to: str) -> int:
    """Freeze all weights of an encoder before a block, in place.

    They get no gradients, and their submodules stay in evaluation mode also in training, so that
    BatchNorm's statistics do not change and dropout does nothing.

    Args:
        encoder: the encoder, without frozen blocks.
        up_to: the first block that is trained, as in `block_names`, or `ALL` for the complete
            encoder.

    Returns:
        The number of frozen values.

    Raises:
        UsageError: no block has that name; the hint holds the nearest.
    """
    extractor, names = encoder.feature_extractor, block_names(encoder)
    if up_to not in (ALL, *names):
        raise UsageError(
            f"--freeze: the network has no block '{up_to}'", nearest(up_to, (ALL, *names))
        )
    frozen: list[nn.Parameter] = list(extractor.parameters())
    if up_to == ALL:
        modules = [extractor]
    else:
        first = next(extractor.get_submodule(up_to).parameters())
        frozen = frozen[: next(i for i, own in enumerate(frozen) if own is first)]
        modules = list(_before(extractor, up_to))
    for parameter in frozen:
        parameter.requires_grad_(False)
    paths = {module: name for name, module in encoder.named_modules()}
    encoder.frozen = tuple(paths[module] for module in modules)
    encoder.train(encoder.training)
    return sum(parameter.numel() for parameter in frozen)


def layer_scales(encoder: Encoder, decay: float) -> list[LayerScale]:
    """Return the trainable parameters by block, with learning rates that fall from last to first.

    The last block has the factor ``decay`` on the learning rate of the head, the one before it
    ``decay ** 2``, and so on (Clark et al. 2020, arXiv:2003.10555, section 3.1; for images Bao et
    al. 2022, arXiv:2106.08254, section 3.1). Only the innermost blocks of `block_names` count.
    Parameters outside of all blocks, such as position embeddings, belong to the block before them.

    Args:
        encoder: the encoder; its frozen parameters are left out.
        decay: in (0, 1].
    """
    extractor, names = encoder.feature_extractor, block_names(encoder)
    inner = [name for name in names if not any(n.startswith(f"{name}.") for n in names)]
    firsts = {id(next(extractor.get_submodule(name).parameters())): name for name in inner}
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in inner}
    block = inner[0]
    for parameter in extractor.parameters():
        block = firsts.get(id(parameter), block)
        if parameter.requires_grad:
            groups[block].append(parameter)
    return [
        LayerScale(name, parameters, decay ** (len(inner) - place))
        for place, (name, parameters) in enumerate(groups.items())
        if parameters
    ]


def _blocks(module: nn.Module, prefix: str = "") -> Iterator[str]:
    for name, part in module.named_children():
        if _has_weights(part):
            yield f"{prefix}{name}"
            if _is_stage(part):
                yield from _blocks(part, f"{prefix}{name}.")


def _is_stage(module: nn.Module) -> bool:
    """Return whether a module is a sequence of blocks, and not a block itself."""
    parts = [part for part in module.children() if _has_weights(part)]
    if isinstance(module, _CONTAINERS):
        return len(parts) > 1
    # Such as a stage's downsampling beside the list of its blocks. A block may have lists as well,
    # but their elements are layers, or layers with their normalisation.
    return any(
        count > 1
        for part in parts
        if isinstance(part, _CONTAINERS)
        for count in Counter(type(p) for p in part.children() if not _is_layer(p)).values()
    )


def _is_layer(module: nn.Module) -> bool:
    """Return whether a module has no submodules, or only such without submodules."""
    return not any(list(part.children()) for part in module.children())


def _has_weights(module: nn.Module) -> bool:
    """Return whether a module has parameters besides those of normalisation layers."""
    return any(
        True
        for part in module.modules()
        if not isinstance(part, _NORMS)
        for _ in part.parameters(recurse=False)
    )


def _before(module: nn.Module, path: str) -> Iterator[nn.Module]:
    """Yield the largest submodules that lie completely before a submodule."""
    head, _, rest = path.partition(".")
    for name, part in module.named_children():
        if name == head:
            if rest:
                yield from _before(part, rest)
            return
        yield part
