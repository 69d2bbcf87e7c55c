"""A small classifier on a synthetic set, as tests of the task and of the command line train it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcvcli.config.load import resolve
from dlcvcli.reporter import Silent
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.classification.settings import TrainClsSettings
from dlcvcli.tasks.classification.spec import SPEC
from dlcvcli.training.run import RunRequest

SMALL: dict[str, Any] = {
    "model.name": "resnet9",
    "model.options": {"channels": 4},
    "train.steps": 10,
    "train.batch_size": 8,
    "train.workers": 0,
    "train.precision": "fp32",
}


def settings_for(data: Path, changes: Mapping[str, Any] | None = None) -> TrainClsSettings:
    """Return the settings of a small run on a set, with some of them changed."""
    return resolve(TrainClsSettings, flags={"data.path": str(data), **SMALL, **(changes or {})})


def request_for(
    run: Path, data: Path, changes: Mapping[str, Any] | None = None, **more: Any
) -> RunRequest:
    """Return the request of a small run, with its data checked."""
    settings, opened = SPEC.prepare(settings_for(data, changes), Silent(), known=False)
    return RunRequest(SPEC.job, RunFolder(run), settings, opened, **more)
