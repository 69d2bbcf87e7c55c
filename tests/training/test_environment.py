"""Versions, machine and data of a run, as plain types."""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

from dlcvcli import __version__
from dlcvcli.engine.launch import launch
from dlcvcli.machine import usable_cores
from dlcvcli.tasks.segmentation.data import TrainingData, check_training_data
from dlcvcli.tasks.segmentation.settings import DataSettings
from dlcvcli.training import environment as module
from dlcvcli.training.environment import describe_environment


@pytest.fixture
def data(landcover: Path) -> TrainingData:
    """Return the fingerprinted synthetic set."""
    return check_training_data(DataSettings(path=str(landcover)), 0)


def test_environment_has_versions_machine_and_data(data: TrainingData) -> None:
    launcher = launch(precision="fp32")
    environment = describe_environment(launcher, data)
    assert environment["dlcv"] == __version__
    assert environment["python"] == platform.python_version()
    assert environment["cores"] == usable_cores() >= 1
    assert (environment["device"], environment["ranks"]) == (launcher.device_name, 1)
    assert environment["precision"] == {"name": "fp32", "reason": launcher.precision.reason}
    assert environment["versions"]["torch"] == str(torch.__version__).partition("+")[0]
    assert environment["versions"]["numpy"] == metadata.version("numpy")
    assert environment["data"] == {"layout": data.layout, **data.as_dict()}
    assert json.loads(json.dumps(environment, allow_nan=False)) == environment


def test_command_has_the_program_name_without_its_path(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/me/.venv/bin/dlcv", "train", "seg", "--data", "/set"])
    environment = describe_environment(launch(precision="fp32"), data)
    assert environment["command"] == ["dlcv", "train", "seg", "--data", "/set"]


def test_missing_package_is_left_out(data: TrainingData, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in {"torchvision", "onnxruntime-gpu"}:
            raise metadata.PackageNotFoundError(name)
        return f"{name} 1.0"

    monkeypatch.setattr(module.metadata, "version", version)
    environment = describe_environment(launch(precision="fp32"), data)
    assert environment["versions"] == {
        name: f"{name} 1.0" for name in ("torch", "lightning-fabric", "numpy", "pillow")
    }
