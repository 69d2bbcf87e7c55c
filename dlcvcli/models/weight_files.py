"""State dicts from torchvision's hub or from a file, read without trust."""

from __future__ import annotations

import http.client
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.models import get_weight

from dlcvcli.errors import CheckpointError
from dlcvcli.models.averaging import AVERAGE, evaluated_weights

State = dict[str, Tensor]


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
            f"{torchvision_name}: cannot get {name} ({_first_line(error)})", hint
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
    state = {
        name: value
        for name, value in payload.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    return evaluated_weights(state) if any(n.startswith(AVERAGE) for n in state) else state


def _first_line(error: Exception) -> str:
    """Return the first line of what an error says, its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
