"""A new task works in every command with its package and one line of the registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from dlcvcli.tasks.registry import TASKS
from tests.cli.command import dlcv, run_children_here
from tests.toy_task.spec import SPEC


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    """Add the line to the registry; child `dlcv` processes run in this process, which has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TASKS, SPEC.name, SPEC)
        run_children_here(patch)
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of 16 x 16 pixels, each of its own brightness."""
    folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 5)):
        (folder / split).mkdir()
        for number in range(count):
            noise = rng.integers(0, 60, (16, 16, 3)) + rng.integers(0, 190)
            Image.fromarray(noise.astype(np.uint8)).save(folder / split / f"{number}.png")
    return folder


def done(*arguments: object) -> str:
    """Run `dlcv`, require that it succeeds, and return stdout."""
    process = dlcv(*arguments)
    assert process.returncode == 0, process.stderr
    return process.stdout


def train(images: Path, run: Path, *more: object) -> str:
    settings = ("--batch-size", 4, "--lr", 0.003, "--precision", "fp32", "--set", "train.steps=8")
    more = ("--set", "train.val_every=2", "--out", run, *more)
    return done("train", "toy", "--data", images, *settings, *more)


@pytest.fixture(scope="module")
def run(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    run = tmp_path_factory.mktemp("runs") / "toy"
    assert "best validation mean absolute error" in train(images, run)
    return run


def weights(run: Path) -> dict[str, Any]:
    tensors: dict[str, Any] = torch.load(run / "checkpoints/last.ckpt", weights_only=True)["task"]
    return tensors


def test_the_best_is_the_validation_with_the_lowest_error(run: Path) -> None:
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    errors = {one["step"]: one["mae"] for one in records if one["split"] == "val"}
    best = json.loads((run / "results.json").read_text())["best"]
    assert best["mae"] == min(errors.values()) < errors[2]
    assert errors[best["step"]] == best["mae"]
    assert (run / "figures/curves.png").is_file()


def test_a_stopped_run_resumes_to_identical_weights(
    images: Path, run: Path, tmp_path: Path
) -> None:
    stopped = tmp_path / "stopped"
    train(images, stopped, "--max-time", "0.000001s")
    assert json.loads((stopped / "results.json").read_text())["step"] < 8
    done("train", "toy", "--resume", stopped, "--set", "train.max_time=null")
    first, second = weights(run), weights(stopped)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_both_backends_score_the_same_and_the_certificate_holds(images: Path, run: Path) -> None:
    assert "largest value error" in done("export", run)
    assert json.loads((run / "certificate.json").read_text())["passed"]
    table = done("eval", run, "--data", images, "--onnx", "--compare")
    assert "1.000000 of all images agree" in table
    both = [
        json.loads(done("eval", model, "--data", images, "--json", "-"))["metrics"]["mae"]
        for model in (run, run / "model.onnx")
    ]
    assert both[0] == pytest.approx(both[1], abs=1e-6)


def test_flags_of_other_tasks_are_refused(images: Path, run: Path) -> None:
    process = dlcv("eval", run, "--data", images, "--tile", 64)
    assert process.returncode == 2
    assert "--tile is for a segmentation model" in process.stderr


def test_a_study_compares_two_of_its_runs(images: Path, tmp_path: Path) -> None:
    definition = tmp_path / "toy.yaml"
    definition.write_text(
        "{name: toy, title: Toy, question: Which learning rate, source: none, task: toy, runs: ["
        "{name: slow, label: slow, settings: {optim.lr: 1.0e-4, train.steps: 4}},"
        "{name: fast, label: fast, settings: {optim.lr: 1.0e-2, train.steps: 4}}]}\n"
    )
    more = ("--set", "train.batch_size=4", "--set", "train.precision=fp32")
    out = tmp_path / "study"
    done("study", "run", definition, "--data", images, "--out", out, *more)
    results = json.loads((out / "results.json").read_text())
    errors = {one["name"]: one["measured"]["mae"]["mean"] for one in results["runs"]}
    assert results["best"] == min(errors, key=lambda name: errors[name])
    assert "mean absolute error" in (out / "table.md").read_text()
    assert (out / "figures/curves.png").is_file()
