"""Two ranks are one: the same losses, weights and scores at the same global batch."""

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
    """The folder in which two processes trained and validated together, over gloo."""
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
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    return folder


@pytest.mark.parametrize("parts", [1, 2])
def test_two_ranks_train_to_the_weights_and_losses_of_one(
    two_ranks: Path, tmp_path: Path, parts: int
) -> None:
    # The ignored pixels of tiny's images lie unevenly: a mean of the ranks' means would differ.
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


def test_ranks_share_a_validation_and_count_each_pixel_once(two_ranks: Path) -> None:
    found: dict[str, Any] = json.loads((two_ranks / "found.json").read_text())
    assert found["ranks"] == 2
    assert found["scores"] == validate(two_ranks / "data", launch(precision="fp32"))


def test_ranks_validate_the_network_that_is_saved(two_ranks: Path) -> None:
    # Its statistics of BatchNorm are rank 0's; those of the other come from other images.
    run = RunFolder(two_ranks / "batch-norm")
    task = TinyTask()
    task.load_state_dict(load_checkpoint(run.last)["task"])
    task.eval()
    with torch.inference_mode():
        expected = score_of(task, 0, 1)
    (record,) = [record for record in run.read_metrics() if record["split"] == "val"]
    assert record["miou"] == pytest.approx(expected, rel=1e-6)


def test_the_first_bad_loss_of_any_rank_is_named_and_its_whole_batch_kept(two_ranks: Path) -> None:
    # The step after it is bad on both ranks: the gradients carry it over.
    said = json.loads((two_ranks / "found.json").read_text())["bad"]
    assert "not finite at step 3;" in said
    batch = torch.load(two_ranks / "bad" / "nonfinite-step-3.pt", weights_only=True)
    assert len(batch["images"]) == 4


def test_what_one_rank_knows_all_are_told(two_ranks: Path) -> None:
    assert json.loads((two_ranks / "found.json").read_text())["told"] == 1


def test_a_run_begun_on_two_ranks_goes_on_with_one(two_ranks: Path, tmp_path: Path) -> None:
    begun = load_checkpoint(RunFolder(two_ranks / "parts-1").last)
    assert begun["step"] == STEPS
    settings = tiny_settings(steps=STEPS + 4, log_every=1, save_every=5)
    optim = settings.optim.model_copy(update={"clip_norm": 1.0})
    settings = settings.model_copy(update={"optim": optim})
    task, result, _ = tiny_fit(tmp_path / "on", settings=settings, task=exact_task(), resume=begun)
    assert result.step == STEPS + 4
    # As one rank would have gone on that made all the steps, but for the last digits.
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
