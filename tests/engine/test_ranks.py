"""Two ranks give the losses, weights and scores of one rank at the same global batch size."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.engine.launch import launch
from dlcvcli.runs import RunFolder
from tests.conftest import write_camvid
from tests.engine.ranked import STEPS, exact_task, score_of, train, validate
from tests.engine.tiny import TinyTask, tiny_fit, tiny_settings

ROOT = Path(__file__).parents[2]
SIZES = [(24, 32), (32, 24), (24, 32), (40, 40), (24, 32), (32, 24), (24, 32)]


@pytest.fixture(scope="module")
def two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of two processes that trained and validated together, over gloo."""
    folder = tmp_path_factory.mktemp("ranks")
    write_camvid(folder / "data", {"train": SIZES, "val": SIZES})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0", "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "", "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.engine.ranked", str(folder)],
            cwd=ROOT, env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in processes:
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    return folder


@pytest.mark.parametrize("parts", [1, 2])
def test_two_ranks_give_the_weights_and_losses_of_one_rank(
    two_ranks: Path, tmp_path: Path, parts: int
) -> None:
    # Ranks have different numbers of ignored pixels, so a mean of the ranks' means would differ.
    weights = torch.load(two_ranks / "weights.pt", weights_only=True)[f"{parts} parts"]
    alone = train(tmp_path, launch(precision="fp32"), parts=parts)
    for name, value in alone.items():
        torch.testing.assert_close(weights[name], value, rtol=0, atol=1e-5)
    losses = [
        [record["loss"] for record in RunFolder(folder).read_metrics()]
        for folder in (tmp_path, two_ranks / f"parts-{parts}")
    ]
    assert len(losses[0]) == -(-STEPS // 3)
    assert losses[1] == pytest.approx(losses[0], abs=1e-5)


def test_ranks_validate_together_and_count_each_pixel_once(two_ranks: Path) -> None:
    results: dict[str, Any] = json.loads((two_ranks / "results.json").read_text())
    assert results["ranks"] == 2
    assert results["scores"] == validate(two_ranks / "data", launch(precision="fp32"))


def test_ranks_validate_the_network_that_is_saved(two_ranks: Path) -> None:
    # Rank 0's BatchNorm statistics are saved; those of rank 1 come from other images.
    run = RunFolder(two_ranks / "batch-norm")
    task = TinyTask()
    task.load_state_dict(load_checkpoint(run.last)["task"])
    task.eval()
    with torch.inference_mode():
        expected = score_of(task, 0, 1)
    (record,) = [record for record in run.read_metrics() if record["split"] == "val"]
    assert record["miou"] == pytest.approx(expected, rel=1e-6)


def test_non_finite_loss_of_any_rank_is_reported_and_the_global_batch_saved(
    two_ranks: Path,
) -> None:
    # The next step is not finite on both ranks, through the gradients.
    message = json.loads((two_ranks / "results.json").read_text())["bad_loss"]
    assert "not finite at step 3;" in message
    batch = torch.load(two_ranks / "bad" / "nonfinite-step-3.pt", weights_only=True)
    assert len(batch["images"]) == 4


def test_max_is_taken_over_all_ranks(two_ranks: Path) -> None:
    assert json.loads((two_ranks / "results.json").read_text())["largest_rank"] == 1


def test_run_started_on_two_ranks_resumes_on_one(two_ranks: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(RunFolder(two_ranks / "parts-1").last)
    assert checkpoint["step"] == STEPS
    settings = tiny_settings(steps=STEPS + 4, log_every=1, save_every=5)
    optim = settings.optim.model_copy(update={"clip_norm": 1.0})
    settings = settings.model_copy(update={"optim": optim})
    task, result, _ = tiny_fit(
        tmp_path / "resumed", settings=settings, task=exact_task(), resume=checkpoint
    )
    assert result.step == STEPS + 4
    # Equal, up to rounding, to a run with all steps on one rank.
    shorter = settings.train.model_copy(update={"steps": STEPS})
    _, _, run = tiny_fit(
        tmp_path / "one",
        settings=settings.model_copy(update={"train": shorter}),
        task=exact_task(),
    )
    alone, _, _ = tiny_fit(
        run.path, settings=settings, task=exact_task(), resume=load_checkpoint(run.last)
    )
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(task.state_dict()[name], value, rtol=0, atol=1e-5)
