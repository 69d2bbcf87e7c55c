"""Training runs, from settings to results."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from dlcvcli.config.load import resolve
from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.segmentation import open_split
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.engine.hooks import Hooks
from dlcvcli.errors import CheckpointError, ConfigError, DeviceError, UsageError
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.tasks.segmentation.data import check_training_data, resolve_settings
from dlcvcli.tasks.segmentation.job import SegmentationJob
from dlcvcli.tasks.segmentation.load import load_predictor
from dlcvcli.tasks.segmentation.scoring import evaluate
from dlcvcli.tasks.segmentation.settings import TrainSegSettings
from dlcvcli.training.run import RunRequest, train


def request_for(run: Path, landcover: Path, **flags: Any) -> RunRequest:
    """Return a request for a small run; `flags` are dotted keys with __ for the dot."""
    defaults = {
        "data.path": str(landcover),
        "model.name": "lraspp_mobilenet_v3_large",
        "train.steps": 4,
        "train.batch_size": 4,
        "train.workers": 0,
        "train.precision": "fp32",
    }
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    settings = resolve(TrainSegSettings, flags={**defaults, **dotted})
    data = check_training_data(settings.data, settings.train.seed)
    return RunRequest(SegmentationJob, RunFolder(run), resolve_settings(settings, data.train), data)


def test_run_folder_contains_settings_environment_results_and_records(
    trained_run: Path, landcover: Path
) -> None:
    run = RunFolder(trained_run)
    config = yaml.safe_load(run.config.read_text())
    assert config["data"]["path"] == str(landcover)
    assert config["data"]["crop"] == [64, 64]
    assert config["optim"]["backbone_lr_scale"] == 1.0
    environment = json.loads(run.environment.read_text())
    assert environment["data"]["sha256"].keys() == {"train", "val"}
    results = json.loads(run.results.read_text())
    assert results["finished"] is True
    assert results["step"] == results["total_steps"] == 6
    assert results["parameters"] > 1_000_000
    assert results["best"]["step"] in {3, 6}
    assert results["metrics"]["precision"] == "fp32"
    assert {"wall_s", "images_per_s", "data_wait", "peak_memory_mb", "last"} <= results.keys()
    splits = [record["split"] for record in run.read_metrics()]
    assert splits.count("val") == 2
    assert "mIoU" in run.log.read_text()


def test_final_fp32_score_equals_that_of_the_evaluation(trained_run: Path, landcover: Path) -> None:
    results = json.loads(RunFolder(trained_run).results.read_text())
    predictor = load_predictor(find_model(trained_run), provider="cpu")
    data = open_split(landcover, "val", classes=predictor.card.classes)
    evaluation = evaluate(predictor, EvalBatches(data, 3), conventions=["voc"])
    assert evaluation.metrics["miou"] == results["metrics"]["miou"]
    assert evaluation.metrics["iou_per_class"] == results["metrics"]["iou_per_class"]


def test_snapshots_contain_image_ground_truth_and_three_masks(
    trained_run: Path, landcover: Path
) -> None:
    folder = RunFolder(trained_run).snapshots / "0001"
    steps = sorted(path.name for path in folder.glob("step-*.png"))
    assert steps == ["step-0000001.png", "step-0000003.png", "step-0000006.png"]
    ground_truth = np.asarray(Image.open(folder / "truth.png"))
    sample = open_split(landcover, "val").read(1)
    assert np.array_equal(ground_truth, sample.mask)
    with Image.open(folder / steps[-1]) as mask:
        assert mask.mode == "P"
        assert mask.size == (64, 64)


def test_stopped_and_resumed_run_equals_uninterrupted_run(tmp_path: Path, landcover: Path) -> None:
    train(request_for(tmp_path / "uninterrupted", landcover))
    request = request_for(tmp_path / "resumed", landcover, train__max_time=1e-6)
    assert train(request)["finished"] is False
    again = request_for(tmp_path / "resumed", landcover)
    results = train(replace(again, resume=True))
    assert results["finished"] is True
    one, other = (
        load_checkpoint(tmp_path / n / "checkpoints" / "last.ckpt")["task"]
        for n in ("uninterrupted", "resumed")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_cache_changes_no_weights_and_is_logged(tmp_path: Path, landcover: Path) -> None:
    states = []
    for name, limit in (("plain", 0), ("cached", "100KiB")):
        request = request_for(tmp_path / name, landcover, data__cache=limit, train__steps=5)
        train(request)
        states.append(load_checkpoint(request.run.last)["task"])
        # Six tiles of 64 x 64 fit into the cache; the other six are decoded each time.
        logged = "cache: 6 of 12 images in 1 MiB of at most 100 KiB" in request.run.log.read_text()
        assert logged == bool(limit)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_run_killed_in_its_first_step_keeps_its_initial_weights(
    tmp_path: Path, trained_run: Path, landcover: Path
) -> None:
    class Interrupt(Hooks):
        def on_step(self, step: int) -> None:
            raise KeyboardInterrupt

    request = request_for(tmp_path / "run", landcover, train__steps=2)
    with pytest.raises(KeyboardInterrupt):
        train(replace(request, init=RunFolder(trained_run).best), hooks=Interrupt())
    checkpoint = load_checkpoint(request.run.last)
    assert checkpoint["step"] == 0
    # The weights of --init, which is not given again on resume.
    best = load_checkpoint(RunFolder(trained_run).best)["task"]
    assert all(torch.equal(best[name], checkpoint["task"][name]) for name in best)
    assert train(replace(request, resume=True))["finished"] is True
    request.run.last.unlink()
    with pytest.raises(CheckpointError, match=r"no last\.ckpt"):
        train(replace(request, resume=True))


def test_finished_run_can_be_resumed_and_keeps_its_throughput(
    tmp_path: Path, landcover: Path
) -> None:
    request = request_for(tmp_path / "run", landcover)
    first = train(request)
    again = train(replace(request, resume=True))
    assert first["images_per_s"] > 0
    for key in ("images_per_s", "data_wait", "best", "last", "metrics"):
        assert again[key] == first[key]
    shorter = request_for(tmp_path / "run", landcover, train__steps=3)
    with pytest.raises(UsageError, match="has done 4 steps, more than the 3"):
        train(replace(shorter, resume=True, extend=True))


def test_missing_best_checkpoint_is_restored_or_reported(tmp_path: Path, landcover: Path) -> None:
    request = request_for(tmp_path / "run", landcover, train__val_every=2)
    first = train(request)
    step = first["best"]["step"]
    request.run.best.unlink()
    lines: list[str] = []
    again = train(replace(request, resume=True), say=lines.append)
    if step == 4:
        assert request.run.best.is_file()
        assert again["metrics"] == first["metrics"]
    else:
        assert any("best.ckpt is missing" in line for line in lines)


def test_stored_settings_are_resolved(trained_run: Path) -> None:
    config = yaml.safe_load(RunFolder(trained_run).config.read_text())
    assert config["train"]["precision"] in {"fp32", "bf16", "fp16"}
    assert config["train"]["save_every"] == config["train"]["val_every"] == 3
    assert (config["train"]["steps"], config["train"]["epochs"]) == (6, None)


def test_resuming_with_other_settings_lists_the_differences(
    tmp_path: Path, landcover: Path
) -> None:
    train(request_for(tmp_path / "run", landcover, train__max_time=1e-6))
    changed = request_for(tmp_path / "run", landcover, optim__lr=0.5, train__seed=3)
    with pytest.raises(ConfigError, match=r"optim\.lr: 0\.001 -> 0\.5; train\.seed: 0 -> 3"):
        train(replace(changed, resume=True))
    longer = request_for(tmp_path / "run", landcover, train__steps=5)
    with pytest.raises(ConfigError) as caught:
        train(replace(longer, resume=True))
    assert "--extend" in caught.value.hint
    assert train(replace(longer, resume=True, extend=True))["total_steps"] == 5


def test_other_data_is_refused_on_resume_and_moved_data_is_accepted(
    tmp_path: Path, landcover: Path
) -> None:
    train(request_for(tmp_path / "run", landcover, train__max_time=1e-6))
    moved = tmp_path / "moved"
    shutil.copytree(landcover, moved)
    same = request_for(tmp_path / "run", moved, train__max_time=1e-6)
    train(replace(same, resume=True))
    mask = moved / "train" / "0000_mask.png"
    pixels = np.asarray(Image.open(mask)).copy()
    pixels[:5] = (0, 0, 255)
    Image.fromarray(pixels).save(mask)
    other = request_for(tmp_path / "run", moved)
    with pytest.raises(ConfigError, match="fingerprint differs"):
        train(replace(other, resume=True))


def test_init_starts_a_new_run_from_weights(
    tmp_path: Path, trained_run: Path, landcover: Path
) -> None:
    best = RunFolder(trained_run).best
    lines: list[str] = []
    request = request_for(tmp_path / "run", landcover, train__steps=1)
    train(replace(request, init=best), say=lines.append)
    assert any("took" in line and str(best) in line for line in lines)
    other = request_for(tmp_path / "other", landcover, model__name="deeplabv3plus_mobilenet_v2")
    with pytest.raises(CheckpointError, match="does not fit"):
        train(replace(other, init=best))
    assert not other.run.path.exists()


def test_weights_trained_on_validation_images_are_refused_or_reported(
    tmp_path: Path, landcover: Path
) -> None:
    flat = tmp_path / "flat"
    shutil.copytree(landcover / "train", flat)
    train(request_for(tmp_path / "first", flat, train__steps=1))
    best = RunFolder(tmp_path / "first").best
    same = request_for(tmp_path / "same", flat, train__steps=1)
    results = train(replace(same, init=best))
    assert (results["warnings"], results["best"]["trained_on"]) == ([], 0)

    def other_split(name: str, **flags: Any) -> RunRequest:
        return request_for(tmp_path / name, flat, train__steps=2, train__seed=1, **flags)

    # The weights of --init, the initial weights of those, and a file for --weights.
    second = RunFolder(tmp_path / "same").best
    for refused in (
        replace(other_split("b"), init=best),
        replace(other_split("b"), init=second),
        other_split("b", model__weights=str(best)),
    ):
        with pytest.raises(UsageError, match=r"was trained on . of the 2 images"):
            train(refused)
    assert not (tmp_path / "b").exists()

    lines: list[str] = []
    stopped = other_split("c", train__max_time=1e-6)
    train(replace(stopped, init=best, allow_seen=True), say=lines.append)
    assert any(line.startswith("warning: ") for line in lines)
    # The warning stays after a resume.
    results = train(replace(other_split("c"), resume=True))
    assert results["best"]["trained_on"] > 0
    assert "validation images were trained on" in results["warnings"][0]


def test_errors_are_found_before_the_folder_is_created(tmp_path: Path, landcover: Path) -> None:
    request = request_for(tmp_path / "run", landcover, snapshot__images=["nowhere"])
    with pytest.raises(UsageError, match="nowhere"):
        train(request)
    with pytest.raises(UsageError, match="batch size 40"):
        train(request_for(tmp_path / "run", landcover, train__batch_size=40))
    with pytest.raises(UsageError, match="no option 'depth'"):
        train(request_for(tmp_path / "run", landcover, model__options={"depth": 3}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"),
    ],
)
def test_too_little_memory_is_an_error_with_a_hint(
    tmp_path: Path, landcover: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: object, **options: object) -> NoReturn:
        raise error

    monkeypatch.setattr("dlcvcli.training.run.fit", fail)
    with pytest.raises(DeviceError, match="CPU has too little memory for batches of 4") as caught:
        train(request_for(tmp_path / "run", landcover))
    assert "--batch-size" in caught.value.hint
