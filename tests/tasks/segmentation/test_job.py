"""A segmentation job follows its settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from dlcvcli.config.load import resolve
from dlcvcli.engine.launch import launch
from dlcvcli.errors import CheckpointError
from dlcvcli.losses import Dice, Focal
from dlcvcli.palette import load_class_set
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.segmentation.data import check_training_data, resolve_settings
from dlcvcli.tasks.segmentation.job import SegmentationJob
from dlcvcli.tasks.segmentation.settings import TrainSegSettings


def prepared(landcover: Path, **flags: Any) -> SegmentationJob:
    """Return the job of a small run."""
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    chosen = {"data.path": str(landcover), "model.name": "lraspp_mobilenet_v3_large", **dotted}
    settings = resolve(TrainSegSettings, flags=chosen)
    data = check_training_data(settings.data, 0)
    return SegmentationJob(resolve_settings(settings, data.train, data.counted), data)


def test_the_task_has_the_loss_and_learning_rates_of_its_settings(landcover: Path) -> None:
    weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0]
    job = prepared(
        landcover,
        loss__name="bce+focal+dice",
        loss__class_weights=weights,
        loss__gamma=3.0,
        loss__auxiliary=0.1,
        optim__backbone_lr_scale=0.5,
    )
    task = job.build_task(fresh=True)
    _, focal, dice = task.loss.parts
    assert isinstance(focal, Focal)
    assert focal.weights is not None
    assert (focal.weights.tolist(), focal.gamma) == (weights, 3.0)
    assert isinstance(dice, Dice)
    assert (task.auxiliary, task.backbone_lr_scale) == (0.1, 0.5)


def test_weights_of_a_run_are_loaded_except_a_head_for_other_classes(
    landcover: Path, trained_run: Path, tmp_path: Path
) -> None:
    job = prepared(landcover)
    best = RunFolder(trained_run).best
    task = job.build_task(fresh=True)
    line = job.take_weights(task, best)
    state = torch.load(best, weights_only=True)["task"]
    assert f"took {len(state)} of {len(state)} tensors" in line
    own = task.network.state_dict()
    assert all(torch.equal(state[f"network.{name}"], value) for name, value in own.items())

    others = tmp_path / "classes.yaml"
    others.write_text("[a, b, c, d, e, f, g, h]\n")
    job = prepared(landcover, data__audit=False)
    job.data = replace(job.data, classes=load_class_set(str(others)))
    assert "random: network.classify" in job.take_weights(job.build_task(fresh=True), best)


def test_weights_of_another_network_are_refused(landcover: Path, trained_run: Path) -> None:
    job = prepared(landcover, model__name="deeplabv3plus_mobilenet_v2")
    with pytest.raises(CheckpointError, match="does not fit the model") as caught:
        job.take_weights(job.build_task(fresh=True), RunFolder(trained_run).best)
    assert "--model" in caught.value.hint


def test_a_moving_average_starts_from_the_loaded_weights(
    landcover: Path, trained_run: Path
) -> None:
    job = prepared(landcover, optim__ema=0.99)
    task = job.build_task(fresh=True)
    job.take_weights(task, RunFolder(trained_run).best)
    assert task.average is not None
    for name, value in task.network.state_dict().items():
        assert torch.equal(task.average.state_dict()[name], value), name


def test_without_a_best_checkpoint_the_last_is_scored(
    trained_run: Path, landcover: Path, tmp_path: Path
) -> None:
    complete = RunFolder(trained_run)
    job, launcher = prepared(landcover), launch(precision="fp32")
    best = job.score_best(complete, launcher)
    results = json.loads(complete.results.read_text())
    assert best == results["metrics"]
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    run.last.write_bytes(complete.last.read_bytes())
    assert job.score_best(run, launcher)["checkpoint"] == "last.ckpt"


@pytest.mark.parametrize("snapshots", [True, False])
def test_figures_are_drawn_with_and_without_snapshots(
    landcover: Path, trained_run: Path, tmp_path: Path, snapshots: bool
) -> None:
    complete, run = RunFolder(trained_run), RunFolder(tmp_path)
    run.metrics.write_text(complete.metrics.read_text())
    if snapshots:
        run.snapshots.symlink_to(complete.snapshots)
    prepared(landcover).draw(run, 4)
    with Image.open(run.figures / "curves.png") as curves:
        assert curves.size[0] > 800
    assert (run.figures / "snapshots.png").is_file() is snapshots
