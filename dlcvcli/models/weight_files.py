"""State dicts from torchvision's hub or from a file, read without trust."""

from __future__ import annotations

import http.client
import pickle
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.models import get_weight

from dlcvcli.errors import CheckpointError
from dlcvcli.models.averaging import AVERAGE, evaluated_weights

State = dict[str, Tensor]

# Where checkpoints keep a state dict, and how deep inside of each other it is looked for.
_PLACES = ("task", "state_dict", "model")
_DEEPEST = 4


def download(torchvision_name: str) -> State:
    """Fetch torchvision's weights, or take them from its cache.

    Args:
        torchvision_name: as ``Enum.MEMBER``, e.g. ``ResNet50_Weights.IMAGENET1K_V2``.

    Raises:
        CheckpointError: they cannot be had; says which file to bring, and where it goes.
    """
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
            f"{torchvision_name}: cannot get {name} ({_reason(error)})", hint
        ) from error
    return state


def read_state(path: str) -> State:
    """Read the state dict that a file holds, executing nothing.

    It may lie under ``task``, ``state_dict`` or ``model``. Of a task that kept a moving average of
    its weights, the average is taken.

    Raises:
        CheckpointError: there is no such file, it cannot be read, or holds code or no tensors.
    """
    if not Path(path).is_file():
        raise CheckpointError(
            f"{path}: no such weights file",
            "--weights takes 'imagenet', 'none' or the path of a .pth, .pt or .ckpt file",
        )
    try:
        with warnings.catch_warnings():
            # Of torch on strange files; the error below says it all.
            warnings.simplefilter("ignore")
            payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the bytes of a damaged file can raise nearly anything
        raise _unreadable(path, error) from error
    state = _state_in(payload)
    if not state:
        raise CheckpointError(
            f"{path}: holds no tensors by name",
            "a state dict is wanted, or a checkpoint with one under 'task', 'state_dict', 'model'",
        )
    return state


def _unreadable(path: str, error: Exception) -> CheckpointError:
    """Return the error about a file that torch does not load.

    It holds none of torch's own text, which advises to load the file without `weights_only`: that
    would run the code in it.
    """
    if isinstance(error, PermissionError):
        return CheckpointError(f"{path}: cannot be read: {error.strerror}")
    if isinstance(error, pickle.UnpicklingError) and "GLOBAL" in str(error).upper():
        return CheckpointError(
            f"{path}: holds Python objects besides tensors; loading them could run code",
            "save the state dict alone: torch.save(model.state_dict(), PATH)",
        )
    what, hint = "not a readable PyTorch file", "copy or download it again"
    if Path(path).suffix.lower() == ".onnx":
        what += ": it is an ONNX model"
        hint = "give the checkpoint that it was exported from"
    elif "TorchScript" in str(error):
        what += ": it is a TorchScript program"
        hint = "save the state dict alone: torch.save(model.state_dict(), PATH)"
    elif _begins_as_zip(path):
        what += ": it is damaged or cut short"
    return CheckpointError(f"{path}: {what}", hint)


def _reason(error: Exception) -> str:
    """Return the first line of what an error says, but for torch's advice; see `_unreadable`."""
    text = str(error).strip()
    return text.splitlines()[0] if text and "weights_only" not in text else type(error).__name__


def _begins_as_zip(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _state_in(payload: Any) -> State:
    """Find the state dict in what a checkpoint holds: tensors by name, everything else dropped."""
    for _ in range(_DEEPEST):
        if not isinstance(payload, dict):
            return {}
        nested = [payload[key] for key in _PLACES if isinstance(payload.get(key), dict)]
        if not nested:
            break
        payload = nested[0]
    state = {
        name: value
        for name, value in payload.items()
        if isinstance(name, str) and isinstance(value, Tensor) and _has_plain_values(value)
    }
    return evaluated_weights(state) if any(n.startswith(AVERAGE) for n in state) else state


def _has_plain_values(tensor: Tensor) -> bool:
    """Whether a tensor can be copied into a parameter: dense, with values, not quantised."""
    dense = tensor.layout == torch.strided and not tensor.is_meta
    return dense and not tensor.is_quantized and not tensor.is_complex()
