"""What a run came to: `results.json`, the best weights scored once more, and its figures."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn

from dlcvcli.config.schema import TrainSegSettings
from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.engine.fit import FitResult
from dlcvcli.engine.launch import Launcher
from dlcvcli.figures.confusion import confusion_figure
from dlcvcli.figures.curves import curves
from dlcvcli.figures.masks import snapshot_grid
from dlcvcli.figures.style import save
from dlcvcli.machine import peak_memory_mb
from dlcvcli.palette import ClassSet
from dlcvcli.runs import ModelRef, RunFolder
from dlcvcli.tasks.segmentation.scoring import evaluate
from dlcvcli.tasks.segmentation.torch import TorchPredictor


def describe_result(model: nn.Module, launcher: Launcher, result: FitResult) -> dict[str, Any]:
    """Return the outcome of a run as plain types, all but the scores of its best weights."""
    best = result.best
    on_gpu = launcher.device.type == "cuda"
    memory = torch.cuda.max_memory_allocated() >> 20 if on_gpu else peak_memory_mb()
    return {
        "parameters": count_parameters(model),
        "finished": result.ended == "finished",
        "step": result.step,
        "total_steps": result.total_steps,
        "best": None
        if best.value is None
        else {
            best.metric: best.value,
            "step": best.step,
            "epoch": result.plan.epoch_of(best.step),
        },
        "last": result.last,
        "wall_s": round(result.seconds, 2),
        "images_per_s": round(result.totals.images_per_s, 3),
        "data_wait": round(result.totals.data_wait, 4),
        "peak_memory_mb": memory,
        "precision": launcher.precision.name,
        "device": launcher.device_name,
        "ranks": launcher.world_size,
    }


def count_parameters(model: nn.Module) -> int:
    """Return the number of trained and frozen parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def images_at_once(settings: TrainSegSettings, launcher: Launcher) -> int:
    """Return how many images a rank validates at once: no more than it trains with."""
    share = settings.train.batch_size // launcher.world_size
    return settings.train.val_batch_size or max(1, share)


def score_best(
    run: RunFolder, settings: TrainSegSettings, val: SegmentationSet, launcher: Launcher
) -> dict[str, Any]:
    """Evaluate a run's best checkpoint, its last where the best is gone, in float32."""
    path = run.best if run.best.is_file() else run.last
    predictor = TorchPredictor.load(
        ModelRef("checkpoint", path, run), "cuda" if launcher.device.type == "cuda" else "cpu"
    )
    batches = EvalBatches(val, images_at_once(settings, launcher))
    found = evaluate(predictor, batches, conventions=["voc"])
    return {
        "checkpoint": path.name,
        "precision": predictor.precision,
        "split": val.split,
        **{k: v for k, v in found.metrics.items() if k != "by_convention"},
    }


def draw(run: RunFolder, classes: ClassSet, steps_per_epoch: int) -> None:
    """Draw what the run folder holds: its curves, snapshots where it kept any, its confusion."""
    if any(run.read_metrics()):
        save(curves({run.path.name: run}), run.figures / "curves.png")
    if any(run.snapshots.glob("*/step-*.png")):
        save(snapshot_grid(run, classes, steps_per_epoch), run.figures / "snapshots.png")
    if run.results.is_file():
        confusion = json.loads(run.results.read_text("utf-8")).get("metrics", {}).get("confusion")
        if confusion and any(map(any, confusion["counts"])):
            figure = confusion_figure(confusion["classes"], confusion["counts"])
            save(figure, run.figures / "confusion.png")
