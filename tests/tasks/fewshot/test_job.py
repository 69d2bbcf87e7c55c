"""A few-shot training run, from its settings to its results."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from dlcvcli.data.episode_file import drawn_episodes
from dlcvcli.data.episodes import Shape
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.engine.hooks import Hooks
from dlcvcli.errors import CheckpointError, ConfigError, DataError, UsageError
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.tasks.fewshot.data import check_fewshot_data
from dlcvcli.tasks.fewshot.load import load_encoder
from dlcvcli.tasks.fewshot.scoring import evaluate_episodes, scores_file
from dlcvcli.training.run import train
from tests.synthetic_characters import CHARACTERS, request_for


def test_a_run_folder_has_all_files(fewshot_run: Path) -> None:
    run = RunFolder(fewshot_run)
    config = yaml.safe_load(run.config.read_text())
    assert config["episode"]["test_n_way"] == 3
    assert len(config["data"]["mean"]) == 3
    assert config["train"]["batch_size"] == 1
    results = json.loads(run.results.read_text())
    assert results["task"] == "fewshot"
    assert results["model"] == "conv4"
    assert results["finished"] is True
    assert results["best"]["accuracy"] > 1 / 3
    metrics = results["metrics"]
    assert (metrics["n_way"], metrics["k_shot"], metrics["n_query"]) == (3, 1, 3)
    assert metrics["episodes"] == 30
    assert metrics["distance"] == "euclidean"
    assert len(metrics["episodes_sha256"]) == len(metrics["sha256"]) == 64
    rows = list(csv.DictReader(scores_file(run).read_text().splitlines()))
    values = np.array([float(row["accuracy"]) for row in rows])
    assert len(rows) == 30
    assert values.mean() == pytest.approx(metrics["accuracy"], abs=1e-6)
    assert 1.96 * values.std(ddof=1) / 30**0.5 == pytest.approx(metrics["ci95"], abs=1e-5)
    assert [r["step"] for r in run.read_metrics() if r["split"] == "val"] == [3, 6]
    assert (run.figures / "curves.png").is_file()
    assert "accuracy" in run.log.read_text()


def test_complete_alphabets_are_held_out(fewshot_run: Path) -> None:
    classes = load_checkpoint(RunFolder(fewshot_run).last)["data"]["classes"]
    owners = {split: {name.partition("/")[0] for name in names} for split, names in classes.items()}
    assert not owners["train"] & owners["val"]
    assert len(classes["val"]) == CHARACTERS
    assert len(classes["train"]) == 5 * CHARACTERS


def test_the_final_score_equals_that_of_eval(fewshot_run: Path, characters: Path) -> None:
    request = request_for(Path("unused"), characters)
    predictor = load_encoder(find_model(fewshot_run), provider="cpu")
    drawn = drawn_episodes(request.data.val, Shape(3, 1, 3), 0, 30)  # type: ignore[attr-defined]
    scores = evaluate_episodes(predictor, request.data.val, drawn)  # type: ignore[attr-defined]
    metrics = json.loads(RunFolder(fewshot_run).results.read_text())["metrics"]
    assert scores.metrics["accuracy"] == metrics["accuracy"]
    assert scores.metrics["episodes_sha256"] == metrics["episodes_sha256"]


class StopAt(Hooks):
    """Interrupts the training at a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, step: int) -> None:
        if step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("flags", [{}, {"distance__name": "cosine", "optim__ema": 0.9}])
def test_a_killed_run_resumes_to_identical_weights(
    tmp_path: Path, characters: Path, flags: dict[str, Any]
) -> None:
    flags = {**flags, "train__save_every": 2, "model__options": {"channels": 4}}
    complete = request_for(tmp_path / "whole", characters, **flags)
    train(complete)
    broken = request_for(tmp_path / "broken", characters, **flags)
    with pytest.raises(KeyboardInterrupt):
        train(broken, hooks=StopAt(5))
    train(replace(broken, resume=True))
    one, two = (load_checkpoint(RunFolder(r.run.path).last) for r in (complete, broken))
    assert one["step"] == two["step"] == 6
    for name, value in one["task"].items():
        assert torch.equal(value, two["task"][name]), name
    assert one["best"] == two["best"]


def test_a_parametric_run_starts_from_a_euclidean_encoder(
    tmp_path: Path, characters: Path, fewshot_run: Path
) -> None:
    lines: list[str] = []
    request = request_for(tmp_path / "run", characters, distance__name="parametric", train__steps=1)
    checkpoint = find_model(fewshot_run).path
    train(replace(request, init=checkpoint), say=lines.append)
    assert any("the distance starts from random values" in line for line in lines)
    seen = request_for(tmp_path / "seen", characters, train__seed=1)
    with pytest.raises(UsageError, match="was trained on 3 of the 3 classes"):
        train(replace(seen, init=checkpoint))
    other = request_for(tmp_path / "wide", characters, model__options={"channels": 16})
    with pytest.raises(CheckpointError, match="does not fit the encoder"):
        train(replace(other, init=checkpoint))
    assert not (tmp_path / "wide").exists()


def test_a_run_without_improvement_stops_early_and_is_finished(
    tmp_path: Path, characters: Path
) -> None:
    request = request_for(
        tmp_path / "run", characters, train__steps=40, train__val_every=2, train__patience=2,
        optim__lr=1e-12,
    )  # fmt: skip
    results = train(request)
    # With a learning rate of nearly 0 the first validation stays the best.
    assert results["finished"] is True
    assert results["best"]["step"] + 4 == results["step"] < 40
    again = train(replace(request, resume=True))
    assert again["step"] == results["step"]


def test_a_step_has_several_episodes_and_a_test_split_is_scored(
    tmp_path: Path, characters: Path
) -> None:
    request = request_for(
        tmp_path / "run", characters, train__batch_size=2, optim__accumulate=2,
        data__test_holdout=0.2, data__rotations="train", train__steps=2,
    )  # fmt: skip
    assert len(request.data.train.sizes) == 4 * 4 * CHARACTERS  # type: ignore[attr-defined]
    results = train(request)
    assert results["metrics"]["split"] == "test"
    assert results["step"] == 2


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        ({"data__path": ""}, UsageError, "no data folder"),
        ({"episode__n_way": 99}, DataError, "too few for 99 ways"),
        ({"episode__test_k_shot": 9}, DataError, "fewer than 12 images"),
        ({"data__size": "8x8"}, UsageError, "at least 16x16"),
        ({"data__size": "16x20", "data__rotations": "all"}, UsageError, "needs square images"),
        ({"data__holdout": 0.95}, DataError, "leaves none"),
        ({"train__devices": 2}, UsageError, "cannot be split evenly"),
        ({"data__splits": "vinyals"}, DataError, "1623 characters"),
    ],
)
def test_invalid_settings_are_refused_before_training(
    tmp_path: Path, characters: Path, flags: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        request_for(tmp_path / "run", characters, **flags)
    assert not (tmp_path / "run").exists()


def test_other_settings_or_data_are_not_resumed(tmp_path: Path, characters: Path) -> None:
    request = request_for(tmp_path / "run", characters, train__steps=1)
    train(request)
    other = request_for(tmp_path / "run", characters, train__steps=1, distance__name="cosine")
    with pytest.raises(ConfigError, match=r"distance.name: euclidean -> cosine"):
        train(replace(other, resume=True))


def test_training_and_test_episodes_have_their_own_shapes(characters: Path, tmp_path: Path) -> None:
    request = request_for(
        tmp_path / "run", characters, episode__n_way=5, episode__test_n_way=2,
        episode__test_k_shot=2,
    )  # fmt: skip
    episode = request.settings.episode  # type: ignore[attr-defined]
    assert (episode.test_n_way, episode.test_k_shot, episode.test_n_query) == (2, 2, 3)


def test_progress_is_reported(characters: Path) -> None:
    seen: list[tuple[int, int]] = []
    request = request_for(Path("unused"), characters)
    check_fewshot_data(request.settings, lambda *at: seen.append(at))
    assert seen[-1] == (18, 18)
