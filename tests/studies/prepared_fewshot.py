"""A few-shot study without training: run folders written as by `dlcv train fewshot`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dlcvcli.config.load import to_yaml
from dlcvcli.files import write_atomically, write_json
from dlcvcli.prototypes import interval
from dlcvcli.runs import RunFolder
from dlcvcli.studies import study
from dlcvcli.studies.outcome import StudyOutcome, read_outcome
from dlcvcli.studies.study import StudyRequest, run_study
from dlcvcli.studies.study_folder import StudyFolder
from dlcvcli.tasks.fewshot.data import evaluation_shape as shape_of
from dlcvcli.tasks.fewshot.scoring import scores_file
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings
from tests.studies.prepared_seg import Trainer, prepared_environment, tiny_study

TEXT = """
name: few
title: Distances and shots
question: Which distance learns more?
source: no report
task: fewshot
runs:
  - name: euclid
    label: Euclidean
    settings: &own
      data: {size: 16x16, test_holdout: 0.2}
      episode: &episode {n_way: 3, k_shot: 1, n_query: 2, val_episodes: 4, test_episodes: 60}
      train: {steps: 4, val_every: 2, log_every: 1}
    reported: {accuracy: 0.5, ci95: 0.01, when: epoch 3}
  - name: cosine
    label: cosine
    settings: {<<: *own, distance: {name: cosine}}
  - name: shots
    label: 3 shots
    settings: {<<: *own, episode: {<<: *episode, k_shot: 3}}
  - name: learned
    label: parametric, started
    settings: {<<: *own, distance: {name: parametric}}
    init: euclid
    reported: {accuracy: 0.46}
notes: [Four episodes are too few to learn anything.]
"""
SKILL = {"euclidean": 0.6, "cosine": 0.55, "parametric": 0.5}


class FewshotTrainer(Trainer):
    """Replaces `run_dlcv`; requires that what a run starts from is there."""

    task = "fewshot"
    schema = TrainFewshotSettings

    def flags(self) -> dict[str, Any]:
        for path in map(Path, self.after("--init")):
            assert path.is_file() or RunFolder(path).results.is_file()
        return {}

    def begin(self, run: RunFolder, settings: Any) -> None:
        begin_run(run, settings)

    def finish(self, run: RunFolder, settings: Any) -> None:
        finish_run(run, settings)


def accuracies(settings: TrainFewshotSettings) -> NDArray[np.float64]:
    """Return accuracies of episodes: a part common to all runs, and noise of each run."""
    seed, shape = settings.train.seed, shape_of(settings.episode)
    count = settings.episode.test_episodes
    # Another number of shots gives other episodes.
    hard = np.random.default_rng([seed, shape.k_shot]).normal(0, 0.1, count)
    name = settings.distance.name
    own = np.random.default_rng([seed, len(name)]).normal(0, 0.02, count)
    accuracy = SKILL[name] + 0.01 * seed + 0.1 * (shape.k_shot - 1) + hard + own
    return np.asarray(np.clip(accuracy, 0, 1).round(6))


def begin_run(run: RunFolder, settings: TrainFewshotSettings) -> None:
    """Write the files of an unfinished run."""
    write_atomically(run.config, to_yaml(settings))
    write_atomically(run.last, b"")
    write_json(run.environment, prepared_environment())
    lines = [{"step": 2, "epoch": 0.02, "split": "train", "loss": 2.0}]
    lines.append({"step": 2, "epoch": 0.02, "split": "val", "accuracy": 0.4, "ci95": 0.1})
    write_atomically(run.metrics, "".join(json.dumps(line) + "\n" for line in lines))


def finish_run(run: RunFolder, settings: TrainFewshotSettings) -> None:
    """Write the files of a finished run."""
    begin_run(run, settings)
    scores, shape = accuracies(settings), shape_of(settings.episode)
    measured, seed = interval(scores), settings.train.seed
    with run.metrics.open("a") as file:
        for line in (
            {"step": 4, "epoch": 0.04, "split": "train", "loss": 1.0},
            {"step": 4, "epoch": 0.04, "split": "val", "accuracy": measured.mean, "ci95": 0.1},
        ):
            file.write(json.dumps(line) + "\n")
    rows = "".join(f"{number},{value:.6f}\n" for number, value in enumerate(scores))
    write_atomically(scores_file(run), f"episode_id,accuracy\n{rows}")
    learned = {"scale": 12.5} if settings.distance.name == "cosine" else {}
    metrics = {
        "checkpoint": "best.ckpt",
        "precision": "fp32",
        "split": "test",
        "sha256": f"test of seed {seed}",
        "accuracy": measured.mean,
        "ci95": measured.ci95,
        "episodes": measured.count,
        "n_way": shape.n_way,
        "k_shot": shape.k_shot,
        "n_query": shape.n_query,
        "distance": settings.distance.name,
        **learned,
        "episodes_sha256": f"{shape} of seed {seed}",
    }
    results = {
        "task": "fewshot",
        "model": settings.model.name,
        "parameters": 111_936,
        "finished": True,
        "best": {"accuracy": measured.mean, "step": 4, "epoch": 0.04},
        "images_per_s": 10.0 + seed,
        "peak_memory_mb": 900,
        "metrics": metrics,
    }
    write_json(run.results, results)


def prepared_outcome(
    folder: Path, data: Path, seeds: int, stop_at: int | None = None, text: str = TEXT
) -> tuple[StudyOutcome, FewshotTrainer]:
    """Run the study without any training; `stop_at` stops it in the middle of that call."""
    trainer = FewshotTrainer(stop_at)
    request = StudyRequest(tiny_study(text), "few", StudyFolder(folder), data, seeds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "run_dlcv", trainer)
        try:
            run_study(request, say=lambda line: None)
        except Exception:
            assert stop_at is not None
    return read_outcome(StudyFolder(folder)), trainer
