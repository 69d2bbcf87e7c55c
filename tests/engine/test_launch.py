"""Contradicting ranks and devices are refused before any process starts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from dlcvcli.engine.launch import Launcher, launch
from dlcvcli.engine.precision import Precision
from dlcvcli.errors import DeviceError, UsageError
from dlcvcli.machine import torchrun_shape
from tests.engine.tiny import TinyTask

TORCHRUN = {"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6", "RANK": "0", "LOCAL_RANK": "0"}


def test_ranks_and_machines_from_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert torchrun_shape() is None
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert torchrun_shape() == (2, 3)
    with pytest.raises(UsageError, match="--devices 4 under torchrun with 2 ranks"):
        launch(devices=4)


def test_several_processes_of_srun_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(UsageError, match="srun started 4 copies"):
        launch()


def test_tasks_of_a_slurm_job_are_not_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("SLURM_NTASKS", "SLURM_NTASKS_PER_NODE", "SLURM_NNODES"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("SLURM_JOB_NAME", "train.sh")
    assert launch(precision="fp32").world_size == 1


def test_single_rank_needs_no_communication() -> None:
    launcher = launch(precision="fp32")
    assert (launcher.rank, launcher.world_size, launcher.is_main) == (0, 1, True)
    value = torch.tensor([1.0, 2.0])
    assert launcher.sum(value) is value
    assert launcher.max(value) is value
    assert launcher.broadcast("runs/x") == "runs/x"


def test_sync_batchnorm_needs_gpus() -> None:
    with pytest.raises(UsageError, match="sync-batchnorm needs GPUs"):
        launch(sync_batchnorm=True)


def test_sync_batchnorm_keeps_parameters_and_names() -> None:
    task = TinyTask()
    before = dict(task.named_parameters())
    fabric = SimpleNamespace(
        global_rank=0,
        world_size=2,
        device=torch.device("cpu"),
        setup=lambda task, optimizer: (task, optimizer),
    )
    launcher = Launcher(fabric, Precision("fp32", ""), sync_batchnorm=True)  # type: ignore[arg-type]
    launcher.setup(task, torch.optim.SGD(task.parameters()))
    assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in task.modules())
    after = dict(task.named_parameters())
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)


def test_more_devices_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="this machine has 1 GPU"):
        launch(devices=2)
