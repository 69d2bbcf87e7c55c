"""What the engine runs is what the settings say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dlcvcli.config.load import resolve
from dlcvcli.errors import CheckpointError
from dlcvcli.losses import Dice, Focal
from dlcvcli.palette import load_class_set
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.segmentation import job as module
from dlcvcli.tasks.segmentation.data import TrainingData, check_training_data, resolve_settings
from dlcvcli.tasks.segmentation.job import build_task, default_workers, take_weights
from dlcvcli.tasks.segmentation.settings import TrainSegSettings


def prepared(landcover: Path, **flags: Any) -> tuple[TrainSegSettings, TrainingData]:
    """Return the resolved settings and the data of a small run."""
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    chosen = {"data.path": str(landcover), "model.name": "lraspp_mobilenet_v3_large", **dotted}
    settings = resolve(TrainSegSettings, flags=chosen)
    data = check_training_data(settings.data, 0)
    return resolve_settings(settings, data.train, data.counted), data


def test_the_task_has_the_loss_and_the_rates_of_its_settings(landcover: Path) -> None:
    weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 0.0]
    settings, data = prepared(
        landcover,
        loss__name="bce+focal+dice",
        loss__class_weights=weights,
        loss__gamma=3.0,
        loss__auxiliary=0.1,
        optim__backbone_lr_scale=0.5,
    )
    task = build_task(settings, data, fresh=True)
    _, focal, dice = task.loss.parts
    assert isinstance(focal, Focal)
    assert focal.weights is not None
    assert (focal.weights.tolist(), focal.gamma) == (weights, 3.0)
    assert isinstance(dice, Dice)
    assert (task.auxiliary, task.backbone_lr_scale) == (0.1, 0.5)


@pytest.mark.parametrize(
    ("cores", "ranks", "on_gpu", "workers"),
    # Beside a GPU the cores of this machine are shared by its ranks alone.
    [(1, 1, False, 0), (2, 1, False, 1), (64, 1, False, 1), (32, 4, True, 7), (2, 4, True, 1)],
)
def test_loader_processes_by_the_cores_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, cores: int, ranks: int, on_gpu: bool, workers: int
) -> None:
    monkeypatch.setattr(module, "usable_cores", lambda: cores)
    launcher: Any = SimpleNamespace(ranks_here=ranks, world_size=2 * ranks)
    assert default_workers(on_gpu, launcher) == workers


def test_weights_of_a_run_are_taken_and_a_head_for_other_classes_is_not(
    landcover: Path, trained_run: Path, tmp_path: Path
) -> None:
    settings, data = prepared(landcover)
    best = RunFolder(trained_run).best
    task = build_task(settings, data, fresh=True)
    said = take_weights(task, best)
    state = torch.load(best, weights_only=True)["task"]
    assert f"took {len(state)} of {len(state)} tensors" in said
    own = task.network.state_dict()
    assert all(torch.equal(state[f"segmenter.{name}"], value) for name, value in own.items())

    others = tmp_path / "classes.yaml"
    others.write_text("[a, b, c, d, e, f, g, h]\n")
    settings, data = prepared(landcover, data__audit=False)
    data = replace(data, classes=load_class_set(str(others)))
    said = take_weights(build_task(settings, data, fresh=True), best)
    assert "random: network.classify" in said


def test_weights_of_another_network_are_refused(landcover: Path, trained_run: Path) -> None:
    settings, data = prepared(landcover, model__name="deeplabv3plus_mobilenet_v2")
    with pytest.raises(CheckpointError, match="does not fit the model") as caught:
        take_weights(build_task(settings, data, fresh=True), RunFolder(trained_run).best)
    assert "--model" in caught.value.hint


def test_a_moving_average_begins_where_the_weights_of_another_run_are(
    landcover: Path, trained_run: Path
) -> None:
    settings, data = prepared(landcover, optim__ema=0.99)
    task = build_task(settings, data, fresh=True)
    take_weights(task, RunFolder(trained_run).best)
    assert task.average is not None
    for name, value in task.network.state_dict().items():
        assert torch.equal(task.average.state_dict()[name], value), name
