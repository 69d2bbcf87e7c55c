"""Several ranks on one machine: one output, one folder, and one error when a rank is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from dlcvcli.runs import RunFolder
from tests.cli.command import ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def rank_1_of(pid: int) -> int | None:
    """Return the process that has rank 1 in its environment, among the children of another."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for child in children:
        # Some processes have ended by now.
        with suppress(OSError):
            if b"LOCAL_RANK=1" in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
                return int(child)
    return None


def test_two_ranks_print_once_and_a_lost_rank_ends_the_run(landcover: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    process = subprocess.Popen(
        [sys.executable, "-m", "dlcvcli", "train", "seg", "--data", str(landcover), "--devices",
         "2", "--model", "lraspp_mobilenet_v3_large", "--batch-size", "4", "--steps", "500",
         "--out", str(run.path), "--set", "train.log_every=1", "--set", "train.val_every=2",
         "--workers", "0"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if line.startswith("step 5"):
            break
    rank_1 = rank_1_of(process.pid)
    assert rank_1 is not None
    os.kill(rank_1, signal.SIGKILL)
    out, rest = process.communicate(timeout=60)
    assert process.returncode == 1
    errors = [line for line in rest.splitlines() if line.startswith("error: ")]
    assert errors == ["error: rank 1 was killed by SIGKILL; the others were stopped"]
    assert "--resume" in rest
    assert out == ""
    started = [line for line in lines if line.startswith("training: ")]
    assert len(started) == 1
    assert sum(line.startswith("step 3/") for line in lines) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    # The earlier checkpoint is kept.
    assert run.last.is_file()
    assert any(record["split"] == "val" for record in run.read_metrics())


def test_a_rank_that_dies_before_joining_ends_the_run(landcover: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "dlcvcli", "train", "seg", "--data", str(landcover), "--devices",
         "2", "--model", "lraspp_mobilenet_v3_large", "--batch-size", "4", "--steps", "5",
         "--out", str(tmp_path / "run"), "--workers", "0"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    until = time.monotonic() + 60
    while (rank_1 := rank_1_of(process.pid)) is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    # Rank 1 needs seconds to import torch, while rank 0 waits for it.
    os.kill(rank_1, signal.SIGKILL)
    out, stderr = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert errors == ["error: rank 1 was killed by SIGKILL; the others were stopped"]
    assert not (tmp_path / "run").exists()
