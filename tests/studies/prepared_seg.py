"""A study without training: run folders written as by `dlcv train seg`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlcvcli.config.load import resolve, to_yaml
from dlcvcli.data.masks import write_mask
from dlcvcli.errors import Interrupted
from dlcvcli.files import write_atomically, write_json
from dlcvcli.metrics import SegmentationScore
from dlcvcli.palette import PRESETS
from dlcvcli.runs import RunFolder
from dlcvcli.studies import study
from dlcvcli.studies.definition import StudyDefinition, parse_study
from dlcvcli.studies.outcome import StudyOutcome, read_outcome
from dlcvcli.studies.study import StudyRequest, run_study
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.tasks.segmentation.settings import TrainSegSettings

CLASSES = PRESETS["landcover7"]

TEXT = """
name: tiny
title: Two learning rates
question: Which learning rate learns more?
source: no report
runs:
  - name: small
    label: small lr
    settings: &own
      model: {name: lraspp_mobilenet_v3_large}
      train: {steps: 4, batch_size: 4, workers: 0, val_every: 2, log_every: 1}
      optim: {lr: 1.0e-4}
    reported: {miou: 0.4, overall_acc: 0.7, when: epoch 3}
  - name: large
    label: large lr
    settings: {<<: *own, optim: {lr: 1.0e-2}}
figures: {images: ["0001", "0099"]}
notes: [Four steps are too few to learn anything.]
"""


def prepared_outcome(
    folder: Path, data: Path, seeds: int, stop_at: int | None = None, text: str = TEXT
) -> StudyOutcome:
    """Run the study without any training; `stop_at` stops it in the middle of that call."""
    request = StudyRequest(tiny_study(text), "tiny", StudyFolder(folder), data, seeds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "run_dlcv", Trainer(stop_at))
        try:
            run_study(request, say=lambda line: None)
        except Interrupted:
            assert stop_at is not None
    return read_outcome(StudyFolder(folder))


def tiny_study(text: str = TEXT) -> StudyDefinition:
    """Return the study of two runs."""
    return parse_study(text, "tiny")


def synthetic_metrics(seed: int, skill: float) -> dict[str, Any]:
    """Return scores of random masks, right with the probability `skill`; water is rare."""
    rng = np.random.default_rng(seed)
    target = rng.choice(6, (64, 64), p=[0.1, 0.55, 0.15, 0.1, 0.02, 0.08]).astype(np.uint8)
    wrong = rng.integers(0, 7, target.shape).astype(np.uint8)
    predicted = np.where(rng.random(target.shape) < skill, target, wrong).astype(np.uint8)
    score = SegmentationScore(CLASSES)
    score.update(target, predicted)
    metrics = score.compute_all(["voc"])
    metrics.pop("by_convention")
    return metrics


class Trainer:
    """Replaces `run_dlcv`: records its calls, and writes the files of a training.

    Attributes:
        calls: the arguments of each call.
        stop_at: number of the call that a signal stops midway.
    """

    task = "seg"
    schema: Any = TrainSegSettings

    def __init__(self, stop_at: int | None = None) -> None:
        self.calls: list[list[str]] = []
        self.stop_at = stop_at

    def __call__(self, arguments: list[str]) -> None:
        self.calls.append(arguments)
        assert arguments[:2] == ["train", self.task]
        if "--resume" in arguments:
            run = RunFolder(Path(self.after("--resume")[0]))
            settings = resolve(self.schema, base=run.read_config())
        else:
            run = RunFolder(Path(self.after("--out")[0]))
            flags = {
                "train.seed": int(self.after("--seed")[0]),
                "data.path": self.after("--data")[0],
                **self.flags(),
            }
            settings = resolve(self.schema, flags=flags, sets=self.after("--set"))
        if len(self.calls) == self.stop_at:
            self.begin(run, settings)
            raise Interrupted(2, "stopped by SIGINT")
        self.finish(run, settings)

    def flags(self) -> dict[str, Any]:
        """Return further settings that the flags of the command set."""
        return {"snapshot.images": self.after("--snapshot")}

    def begin(self, run: RunFolder, settings: Any) -> None:
        """Write the files of an unfinished run."""
        begin_run(run, settings)

    def finish(self, run: RunFolder, settings: Any) -> None:
        """Write the files of a finished run."""
        finish_run(run, settings)

    def after(self, flag: str) -> list[str]:
        """Return the values of a flag in the last call."""
        words = self.calls[-1]
        return [words[place + 1] for place, word in enumerate(words) if word == flag]


def prepared_environment() -> dict[str, Any]:
    """Return the content of environment.json."""
    return {
        "dlcv": "0",
        "python": "3",
        "platform": "here",
        "cores": 2,
        "device": "CPU",
        "ranks": 1,
        "precision": {"name": "fp32", "reason": "asked for"},
        "versions": {"torch": "2"},
        "data": {
            "layout": "prepared",
            "classes": CLASSES.as_dict(),
            "sha256": {"train": "a", "val": "b"},
        },
    }


def begin_run(run: RunFolder, settings: TrainSegSettings) -> None:
    """Write the files of an unfinished run."""
    write_atomically(run.config, to_yaml(settings))
    write_atomically(run.last, b"")
    write_json(run.environment, prepared_environment())
    lines = [{"step": 2, "epoch": 1, "split": "train", "loss": 2.0}]
    lines.append({"step": 2, "epoch": 1, "split": "val", "miou": 0.2})
    write_atomically(run.metrics, "".join(json.dumps(line) + "\n" for line in lines))
    for name in settings.snapshot.images:
        folder = run.snapshots / name
        folder.mkdir(parents=True, exist_ok=True)
        mask = np.arange(64, dtype=np.uint8).reshape(8, 8) % 7
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "image.png")
        write_mask(folder / "truth.png", mask, CLASSES)
        write_mask(folder / "step-0000002.png", mask, CLASSES)


def finish_run(run: RunFolder, settings: TrainSegSettings) -> None:
    """Write the files of a finished run; a larger learning rate and a larger seed do better."""
    begin_run(run, settings)
    seed, large = settings.train.seed, settings.optim.lr > 1e-3
    metrics = synthetic_metrics(seed, 0.5 + 0.1 * large + 0.02 * seed)
    with run.metrics.open("a") as file:
        for line in (
            {"step": 4, "epoch": 2, "split": "train", "loss": 1.0 + seed},
            {"step": 4, "epoch": 2, "split": "val", "miou": metrics["miou"]},
        ):
            file.write(json.dumps(line) + "\n")
    results = {
        "model": settings.model.name,
        "parameters": 3_219_158,
        "finished": True,
        "best": {"miou": metrics["miou"], "step": 4, "epoch": 2 + seed},
        "images_per_s": 10.0 + seed,
        "peak_memory_mb": 900 + seed,
        "metrics": metrics,
    }
    write_json(run.results, results)
