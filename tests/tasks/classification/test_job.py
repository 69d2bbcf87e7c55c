"""Training a classifier: results, resuming, pictures, features, initial weights."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.engine.hooks import Hooks
from dlcvcli.errors import CheckpointError, UsageError
from dlcvcli.inference.features import Features, saved_epochs
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.tasks.classification.load import load_predictor
from dlcvcli.training.run import train
from tests.synthetic_classifier import request_for


def test_a_run_ends_with_scores_predictions_and_pictures(cls_run: Path) -> None:
    run = RunFolder(cls_run)
    results = json.loads(run.results.read_text())
    metrics = results["metrics"]
    with (cls_run / "predictions.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 20
    right = sum(row["label"] == row["predicted"] for row in rows)
    assert metrics["top1"] == right / 20
    low, high = metrics["interval"]
    assert low <= metrics["top1"] <= high
    assert metrics["ci95"] == pytest.approx((high - low) / 2)
    names = {path.name for path in run.figures.iterdir()}
    assert names >= {
        *("curves.png", "predictions.png", "confusion.png", "reliability.png", "classes.png"),
        *("tsne.png", "tsne.gif"),
    }
    records = list(run.read_metrics())
    assert all("accuracy" in r for r in records if r["split"] == "train")
    assert all("loss" in r for r in records if r["split"] == "val")


def test_features_of_the_chosen_epochs_are_kept(cls_run: Path) -> None:
    epochs = saved_epochs(RunFolder(cls_run))
    assert list(epochs) == [0, 1]
    first, second = (Features.load(path) for path in epochs.values())
    assert first.names == second.names
    assert first.values.shape == (20, 32)
    assert (first.values != second.values).any()


class StopAt(Hooks):
    """Interrupts the process after a step, as Ctrl-C twice does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, step: int) -> None:
        if step == self.step:
            raise KeyboardInterrupt


def test_a_killed_run_resumes_to_identical_weights(shapes: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "loss.mixup": 0.4,
        "optim.ema": 0.9,
        "data.augment": {"randaugment": 1, "erase": 0.5},
        "train.save_every": 2,
    }
    complete = request_for(tmp_path / "complete", shapes, changes)
    train(complete)
    broken = request_for(tmp_path / "broken", shapes, changes)
    with pytest.raises(KeyboardInterrupt):
        train(broken, hooks=StopAt(7))
    train(replace(broken, resume=True))
    one, other = (load_checkpoint(request.run.last) for request in (complete, broken))
    assert one["step"] == other["step"] == 10
    for name, value in one["task"].items():
        assert torch.equal(value, other["task"][name]), name
    assert one["best"] == other["best"]


def test_a_backbone_of_another_run_is_taken_and_frozen(
    cls_run: Path, shapes: Path, tmp_path: Path
) -> None:
    changes = {"transfer.setting": "E", "transfer.backbone": str(cls_run)}
    with pytest.raises(UsageError, match=r"was trained on 40 of the 40 images"):
        train(
            request_for(
                tmp_path / "seen",
                shapes,
                changes | {"data.train_split": "val", "data.val_split": "train"},
            )
        )
    train(request_for(tmp_path / "run", shapes, changes))
    before = load_checkpoint(find_model(cls_run).path)["task"]
    after = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["task"]
    backbone = [key for key in before if key.startswith("network.encoder.")]
    assert backbone
    assert all(torch.equal(before[key], after[key]) for key in backbone)
    assert not torch.equal(before["network.head.weight"], after["network.head.weight"])


def test_a_backbone_of_another_network_is_refused_in_one_line(
    cls_run: Path, shapes: Path, tmp_path: Path
) -> None:
    changes = {
        "transfer.setting": "C",
        "transfer.backbone": str(cls_run),
        "model.name": "resnet18",
        "model.options": {},
        "data.size": "32x32",
    }
    with pytest.raises(CheckpointError, match=r"fits .* of the .* tensors") as caught:
        train(request_for(tmp_path / "run", shapes, changes))
    assert "\n" not in caught.value.message
    assert not (tmp_path / "run").exists()


def test_a_block_that_does_not_exist_is_refused(shapes: Path, tmp_path: Path) -> None:
    request = request_for(tmp_path / "run", shapes, {"transfer.freeze": "layer9"})
    with pytest.raises(UsageError, match="no block 'layer9'"):
        train(request)
    assert not (tmp_path / "run").exists()


def test_evaluation_of_the_best_checkpoint_gives_the_same_score(cls_run: Path) -> None:
    predictor = load_predictor(find_model(cls_run), provider="cpu")
    assert predictor.card.classes[0] == "arrow"
    assert predictor.card.dimension == 32
    assert predictor.card.size == (24, 24)
