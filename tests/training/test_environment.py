"""What a run was made with is told in plain types."""

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
    """The made set, fingerprinted."""
    return check_training_data(DataSettings(path=str(landcover)), 0)


def test_versions_machine_and_data_are_told(data: TrainingData) -> None:
    launcher = launch(precision="fp32")
    found = describe_environment(launcher, data)
    assert found["dlcv"] == __version__
    assert found["python"] == platform.python_version()
    assert found["cores"] == usable_cores() >= 1
    assert (found["device"], found["ranks"]) == (launcher.device_name, 1)
    assert found["precision"] == {"name": "fp32", "reason": launcher.precision.reason}
    assert found["versions"]["torch"] == str(torch.__version__).partition("+")[0]
    assert found["versions"]["numpy"] == metadata.version("numpy")
    assert found["data"] == {"layout": data.layout, **data.as_dict()}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_command_is_kept_without_the_way_to_the_program(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["/home/me/.venv/bin/dlcv", "train", "seg", "--data", "/set"])
    found = describe_environment(launch(precision="fp32"), data)
    assert found["command"] == ["dlcv", "train", "seg", "--data", "/set"]


def test_a_package_that_is_not_installed_is_left_out(
    data: TrainingData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name in {"torchvision", "onnxruntime-gpu"}:
            raise metadata.PackageNotFoundError(name)
        return f"{name} 1.0"

    monkeypatch.setattr(module.metadata, "version", version)
    found = describe_environment(launch(precision="fp32"), data)
    assert found["versions"] == {
        name: f"{name} 1.0" for name in ("torch", "lightning-fabric", "numpy", "pillow")
    }
