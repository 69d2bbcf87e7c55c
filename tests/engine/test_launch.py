"""Ranks and devices: what contradicts is refused before anything starts."""

from __future__ import annotations

import pytest
import torch

from dlcvcli.engine.launch import _torchrun_shape, launch
from dlcvcli.errors import DeviceError, UsageError

TORCHRUN = {"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6", "RANK": "0", "LOCAL_RANK": "0"}


def test_torchrun_says_how_many_ranks_and_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _torchrun_shape() is None
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert _torchrun_shape() == (2, 3)
    with pytest.raises(UsageError, match="--devices 4 under torchrun with 2 ranks"):
        launch(devices=4)


def test_one_rank_needs_no_exchange() -> None:
    launcher = launch(precision="fp32")
    assert (launcher.rank, launcher.world_size, launcher.is_main) == (0, 1, True)
    value = torch.tensor([1.0, 2.0])
    assert launcher.sum(value) is value
    assert launcher.largest(value) is value
    assert launcher.tell("runs/x") == "runs/x"


def test_more_gpus_than_there_are_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="this machine has 1 GPU"):
        launch(devices=2)
