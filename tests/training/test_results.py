"""What a run came to, as plain types and as figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dlcvcli.config.load import validate
from dlcvcli.data.segmentation import open_split
from dlcvcli.engine.fit import FitResult
from dlcvcli.engine.hooks import Plan
from dlcvcli.engine.launch import launch
from dlcvcli.engine.recorder import Best, Totals
from dlcvcli.palette import PRESETS
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.segmentation.settings import TrainSegSettings
from dlcvcli.training.results import count_parameters, describe_result, draw, score_best
from tests.engine.tiny import TinyTask


def ended(**changes: Any) -> FitResult:
    """Return how a run of 20 steps ended."""
    found: dict[str, Any] = {
        "step": 20, "total_steps": 20, "plan": Plan(0, 20, 8, 4), "ended": "finished",
        "signal": 0, "best": Best("miou", 0.5, 16), "last": {"step": 20, "miou": 0.4},
        "seconds": 12.345, "totals": Totals(80, 8.0, 2.0),
    }  # fmt: skip
    return FitResult(**{**found, **changes})


def describe(result: FitResult) -> dict[str, Any]:
    return describe_result(TinyTask(), launch(precision="fp32"), result)


def test_the_outcome_is_said_in_plain_types() -> None:
    found = describe(ended())
    json.dumps(found, allow_nan=False)
    assert found["best"] == {"miou": 0.5, "step": 16, "epoch": 2}
    assert (found["finished"], found["step"], found["wall_s"]) == (True, 20, 12.35)
    assert (found["images_per_s"], found["data_wait"]) == (10.0, 0.25)
    assert (found["precision"], found["ranks"]) == ("fp32", 1)
    assert found["parameters"] == count_parameters(TinyTask()) > 200


def test_a_run_without_a_validation_has_no_best() -> None:
    found = describe(ended(best=Best("miou"), last=None, ended="signal"))
    assert (found["best"], found["last"], found["finished"]) == (None, None, False)


def test_frozen_parameters_count_too() -> None:
    model = torch.nn.Linear(3, 2)
    model.requires_grad_(False)
    assert count_parameters(model) == 8


def test_the_last_weights_stand_in_for_a_best_that_is_gone(
    trained_run: Path, landcover: Path, tmp_path: Path
) -> None:
    whole = RunFolder(trained_run)
    settings = validate(TrainSegSettings, whole.read_config())
    val = open_split(landcover, "val")
    launcher = launch(precision="fp32")
    best = score_best(whole, settings, val, launcher)
    results = json.loads(whole.results.read_text())
    assert best == results["metrics"]
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    run.last.write_bytes(whole.last.read_bytes())
    assert score_best(run, settings, val, launcher)["checkpoint"] == "last.ckpt"


@pytest.mark.parametrize("snapshots", [True, False])
def test_figures_are_drawn_of_what_there_is(
    trained_run: Path, tmp_path: Path, snapshots: bool
) -> None:
    whole, run = RunFolder(trained_run), RunFolder(tmp_path)
    run.metrics.write_text(whole.metrics.read_text())
    if snapshots:
        run.snapshots.symlink_to(whole.snapshots)
    draw(run, PRESETS["landcover7"], 4)
    with Image.open(run.figures / "curves.png") as curves:
        assert curves.size[0] > 800
    assert (run.figures / "snapshots.png").is_file() is snapshots
