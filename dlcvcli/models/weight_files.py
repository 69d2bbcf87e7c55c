"""Load state dicts from torchvision's downloads or from untrusted files."""

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

# Keys under which checkpoints keep a state dict, and how many levels of them are searched.
_KEYS = ("task", "state_dict", "model")
_MAX_LEVELS = 4


def download(torchvision_name: str) -> State:
    """Return torchvision's weights, downloaded or from its cache.

    Args:
        torchvision_name: as ``Enum.MEMBER``, e.g. ``ResNet50_Weights.IMAGENET1K_V2``.

    Raises:
        CheckpointError: they cannot be downloaded; the hint says which file to put where.
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
        RuntimeError,  # a wrong hash or an incomplete file in the cache
        pickle.UnpicklingError,
        EOFError,
    ) as error:
        if (folder / name).exists():
            hint = f"the file in {folder} is damaged: delete it and try again"
        else:
            hint = f"put {name} into {folder}, or use --weights PATH or --weights none"
        raise CheckpointError(
            f"{torchvision_name}: cannot download {name} ({_reason(error)})", hint
        ) from error
    return state


def read_state(path: str) -> State:
    """Return the state dict in a file without running code from the file.

    It may be under ``task``, ``state_dict`` or ``model``. If a task's has a moving average of the
    weights, only the average is returned.

    Raises:
        CheckpointError: the file does not exist, cannot be read, or holds code or no tensors.
    """
    if not Path(path).is_file():
        raise CheckpointError(
            f"{path}: no such weights file",
            "--weights takes 'imagenet', 'none' or the path of a .pth, .pt or .ckpt file",
        )
    try:
        with warnings.catch_warnings():
            # Torch warns of some files before it fails; the error below is enough.
            warnings.simplefilter("ignore")
            payload = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise nearly any exception
        raise _unreadable(path, error) from error
    state = _state_in(payload)
    if not state:
        raise CheckpointError(
            f"{path}: no state dict in the file",
            "save a state dict, or a checkpoint with one under 'task', 'state_dict' or 'model'",
        )
    return state


def _unreadable(path: str, error: Exception) -> CheckpointError:
    """Return the error for a file that torch does not load.

    It quotes nothing from torch, which advises loading the file with `weights_only=False`: that
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
        hint = "use the checkpoint that it was exported from"
    elif "TorchScript" in str(error):
        what += ": it is a TorchScript program"
        hint = "save the state dict alone: torch.save(model.state_dict(), PATH)"
    elif _begins_as_zip(path):
        what += ": it is damaged or incomplete"
    return CheckpointError(f"{path}: {what}", hint)


def _reason(error: Exception) -> str:
    """Return the first line of an error, without the advice of torch; see `_unreadable`."""
    text = str(error).strip()
    return text.splitlines()[0] if text and "weights_only" not in text else type(error).__name__


def _begins_as_zip(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _state_in(payload: Any) -> State:
    """Return the tensors of the state dict in a checkpoint by name."""
    for _ in range(_MAX_LEVELS):
        if not isinstance(payload, dict):
            return {}
        nested = [payload[key] for key in _KEYS if isinstance(payload.get(key), dict)]
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
    """Return whether a tensor can be copied into a parameter: dense, with values, not quantised."""
    dense = tensor.layout == torch.strided and not tensor.is_meta
    return dense and not tensor.is_quantized and not tensor.is_complex()
