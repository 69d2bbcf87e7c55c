"""Fill a backbone with pre-trained weights, from torchvision or from a file; say what fitted."""

from __future__ import annotations

import http.client
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import get_weight

from dlcvcli.errors import CheckpointError

State = dict[str, Tensor]

# A fully convolutional VGG's layers, and the linear ones of torchvision's that they come from.
_LINEAR_SOURCES = {"fc6": "classifier.0", "fc7": "classifier.3"}


@dataclass(frozen=True)
class LoadReport:
    """What was loaded into a backbone; `str` makes a line of it.

    Counters of BatchNorm, which change no result, are loaded but not listed.

    Attributes:
        source: a weight name of torchvision, or the path of the file.
        loaded: the backbone's tensors that were filled.
        missing: the backbone's tensors that were not, and keep their random values.
        left_over: the source's tensors that were not used, under the source's names.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing)
        line = f"{len(self.loaded)} of {total} backbone tensors filled from {self.source}"
        if self.missing:
            line += f"; {len(self.missing)} missing: {_some(self.missing)}"
        if self.left_over:
            line += f"; {len(self.left_over)} not used: {_some(self.left_over)}"
        return line


def load_backbone(
    module: nn.Module, weights: str, *, torchvision_name: str, prefix: str | None = None
) -> LoadReport:
    """Fill a backbone, in place, with the tensors of a source that fit it by name and shape.

    A file may hold a classifier's state dict, a whole network's, or a checkpoint with one of them
    under ``task``, ``state_dict`` or ``model``. What stands before the backbone's own names in it
    (such as ``segmenter.network.backbone.``) is found by what fits best; of equals, the first in
    the file is taken. Nothing in a file is executed.

    Args:
        module: the backbone.
        weights: ``imagenet`` for torchvision's weights (downloaded once, hash checked), or the path
            of a file.
        torchvision_name: what ``imagenet`` means here, as ``Enum.MEMBER``.
        prefix: what stands before the backbone's names in the source; None to find it.

    Returns:
        What was loaded and what was not.

    Raises:
        CheckpointError: the file cannot be had or read, holds code or values that are not finite,
            or fits less than half of the backbone's tensors.
    """
    if weights == "imagenet":
        source, state = torchvision_name, _download(torchvision_name)
    else:
        source, state = weights, _read(weights)
    targets: State = module.state_dict()
    schemes = _schemes(state, targets) if prefix is None else [(prefix, "")]
    fits = max((_fits(state, targets, *scheme) for scheme in schemes), key=len, default={})
    used = set(fits.values())
    wanted = [name for name in targets if not _is_counter(name)]
    report = LoadReport(
        source=source,
        loaded=tuple(name for name in wanted if name in fits),
        missing=tuple(name for name in wanted if name not in fits),
        left_over=tuple(key for key in state if key not in used and not _is_counter(key)),
    )
    if 2 * len(report.loaded) < len(wanted):
        raise _misfit(report, state, targets, type(module).__name__)
    for key in used:
        if not _is_finite(state[key]):
            raise CheckpointError(
                f"{source}: the values of '{key}' are not all finite",
                "the training that wrote it diverged, or the file is incomplete; take another one",
            )
    filled = {name: state[key].reshape(targets[name].shape) for name, key in fits.items()}
    module.load_state_dict(filled, strict=False)
    return report


def _download(torchvision_name: str) -> State:
    """Fetch torchvision's weights, or take them from its cache."""
    chosen = get_weight(torchvision_name)
    name = chosen.url.rsplit("/", 1)[-1]
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    try:
        state: State = chosen.get_state_dict(
            progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    except (
        OSError,  # also urllib's URLError and HTTPError
        http.client.HTTPException,
        RuntimeError,  # a wrong hash, or a cached file cut short
        pickle.UnpicklingError,
        EOFError,
    ) as error:
        if (folder / name).exists():
            hint = f"the file in {folder} is damaged: delete it and try again"
        else:
            hint = f"put {name} into {folder}, or give --weights PATH or --weights none"
        raise CheckpointError(
            f"{torchvision_name}: cannot get {name} ({_first_line(error)})", hint
        ) from error
    return state


def _read(path: str) -> State:
    """Read the state dict that a file holds, executing nothing."""
    if not Path(path).is_file():
        raise CheckpointError(
            f"{path}: no such weights file",
            "--weights takes 'imagenet', 'none' or the path of a .pth, .pt or .ckpt file",
        )
    try:
        payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the bytes of a damaged file can raise nearly anything
        reason = str(error)
        if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in reason.upper():
            raise CheckpointError(
                f"{path}: holds Python objects besides tensors; loading them could run code",
                "save the state dict alone: torch.save(model.state_dict(), PATH)",
            ) from error
        raise CheckpointError(
            f"{path}: not a readable PyTorch file ({_first_line(error)})",
            "it may be cut short or not be a PyTorch file at all; copy or download it again",
        ) from error
    state = _state_in(payload)
    if not state:
        raise CheckpointError(
            f"{path}: holds no tensors by name",
            "a state dict is wanted, or a checkpoint with one under 'task', 'state_dict', 'model'",
        )
    return state


def _state_in(payload: Any) -> State:
    """Find the state dict in what a checkpoint holds: tensors by name, everything else dropped."""
    if not isinstance(payload, dict):
        return {}
    for key in ("task", "state_dict", "model"):
        if isinstance(payload.get(key), dict):
            return _state_in(payload[key])
    return {
        name: value
        for name, value in payload.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _schemes(state: State, targets: State) -> list[tuple[str, str]]:
    """List how the source's names may follow from the backbone's: (put before, cut off).

    Torchvision's own segmenters drop the ``features.`` of a MobileNet's names.
    """
    ends = [name for name in targets if not _is_counter(name)]
    found: dict[tuple[str, str], None] = {}
    for cut in ("", "features."):
        for name in (ends[0], ends[len(ends) // 2], ends[-1]):
            tail = name.removeprefix(cut)
            for key in state:
                before = key.removesuffix(tail)
                if before != key and (not before or before.endswith(".")):
                    found.setdefault((before, cut))
    # Sorted by where the first key of the scheme stands in the file, so that ties have one order.
    order = {key: place for place, key in enumerate(state)}
    return sorted(
        found,
        key=lambda scheme: min(
            order.get(scheme[0] + name.removeprefix(scheme[1]), len(order)) for name in ends
        ),
    )


def _fits(state: State, targets: State, before: str, cut: str) -> dict[str, str]:
    """Map the backbone's names to the source's, where the tensors' shapes agree."""
    fits: dict[str, str] = {}
    for name, target in targets.items():
        key = before + name.removeprefix(cut)
        layer, _, kind = name.rpartition(".")
        linear = f"{before}{_LINEAR_SOURCES.get(layer, '')}.{kind}"
        if key in state:
            if state[key].shape == target.shape:
                fits[name] = key
        elif linear in state and _is_same_layer(state[linear], target):
            fits[name] = linear
    return fits


def _is_same_layer(linear: Tensor, convolution: Tensor) -> bool:
    """Say whether a linear layer's tensor is a convolution's, flattened, and usable."""
    flat = convolution.flatten(1) if convolution.ndim > 1 else convolution
    # Torchvision's features-only VGG file holds a classifier of NaNs.
    return linear.shape == flat.shape and _is_finite(linear)


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _misfit(report: LoadReport, state: State, targets: State, kind: str) -> CheckpointError:
    """Say that a source does not fit, with the first tensor on either side."""
    name, key = next(iter(targets)), next(iter(state))
    total = len(report.loaded) + len(report.missing)
    return CheckpointError(
        f"{report.source}: fits {len(report.loaded)} of the {total} tensors of the backbone {kind}",
        f"wanted names like '{name}' {list(targets[name].shape)}, "
        f"the source begins with '{key}' {list(state[key].shape)}",
    )


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
