"""Both backends run in processes of their own on the same request and are compared."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from dlcvcli.errors import AlreadySaid
from dlcvcli.files import sha256_of
from dlcvcli.inference import compare as module
from dlcvcli.inference.compare import checkpoint_of, compare
from dlcvcli.inference.evaluation import EvalRequest
from dlcvcli.processes import run_dlcv
from dlcvcli.runs import ModelRef, RunFolder
from dlcvcli.tasks.segmentation.evaluate import SegmentationEvaluator
from dlcvcli.tasks.segmentation.flags import EvalSegFlags
from tests.inference.masks import SHAPES, some_masks, write_masks

# -- a child --------------------------------------------------------------------------------------


def child(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace Python by a shell script."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))


@pytest.mark.parametrize(
    ("script", "status"),
    [("exit 1", 1), ("exit 2", 2), ("exit 3", 3), ("kill -9 $$", 137), ("kill -TERM $$", 143)],
)
def test_the_exit_status_of_a_child_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, status: int
) -> None:
    child(tmp_path, script, monkeypatch)
    with pytest.raises(AlreadySaid) as caught:
        run_dlcv(["eval"])
    assert caught.value.status == status
    assert caught.value.message == f"dlcv ended with exit status {status}"


def test_a_child_gets_the_arguments_and_writes_nothing_to_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    child(tmp_path, 'for word in "$@"; do echo "$word" >&2; done; echo result', monkeypatch)
    run_dlcv(["eval", "my run", "--json", "-"])
    captured = capfd.readouterr()
    assert captured.err.splitlines() == ["-m", "dlcvcli", "eval", "my run", "--json", "-"]
    assert captured.out == ""


def test_a_child_reports_its_error_itself(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AlreadySaid) as caught:
        run_dlcv(["eval", str(tmp_path / "none"), "--data", str(tmp_path)])
    assert caught.value.status == 1
    assert f"error: model {tmp_path / 'none'} does not exist" in capfd.readouterr().err


# -- the checkpoint behind a file -----------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with three different checkpoints."""
    run = RunFolder(tmp_path / "run")
    run.create()
    for name in ("best", "last", "step-0000010"):
        (run.checkpoints / f"{name}.ckpt").write_bytes(name.encode())
    (run.checkpoints / "notes.txt").write_bytes(b"notes")
    return run


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt", "step-0000010.ckpt"])
def test_the_checkpoint_of_a_file_is_identified_by_its_digest(run: RunFolder, name: str) -> None:
    path = run.checkpoints / name
    assert checkpoint_of(ModelRef("onnx", run.onnx, run), sha256_of(path)) == path


def test_a_deleted_checkpoint_is_none(run: RunFolder) -> None:
    onnx = ModelRef("onnx", run.onnx, run)
    gone = sha256_of(run.best)
    run.best.write_bytes(b"trained further")
    assert checkpoint_of(onnx, gone) is None
    assert checkpoint_of(onnx, "") is None
    # Other files are no checkpoints.
    assert checkpoint_of(onnx, sha256_of(run.checkpoints / "notes.txt")) is None


def test_a_file_without_its_run_has_no_checkpoint(run: RunFolder, tmp_path: Path) -> None:
    digest = sha256_of(run.best)
    assert checkpoint_of(ModelRef("onnx", run.onnx, None), digest) is None
    empty = RunFolder(tmp_path / "empty")
    assert checkpoint_of(ModelRef("onnx", empty.onnx, empty), digest) is None


# -- the comparison -------------------------------------------------------------------------------


def result_of(backend: str, miou: float, speed: float) -> dict[str, Any]:
    return {
        "backend": backend,
        "provider": f"{backend} provider",
        "metrics": {
            "miou": miou,
            "convention": "voc",
            "classes_scored": 11,
            "iou_per_class": {"sky": miou},
            "by_convention": {"voc": {"miou": miou}},
        },
        "speed": {"images_per_s": speed, "wall_s": 1.0},
    }


class Children:
    """Replaces `run_dlcv`: records its calls, and writes the results of an evaluation."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.fails_at = 0

    def __call__(self, arguments: list[str]) -> None:
        self.calls.append(arguments)
        if len(self.calls) == self.fails_at:
            raise AlreadySaid(3)
        second = len(self.calls) == 2
        result = result_of("onnx", 0.51, 6.0) if second else result_of("torch", 0.5, 4.0)
        Path(self.after("--json")).write_text(json.dumps(result))
        masks = some_masks()
        if second:
            masks["1"][0, :6] = (masks["1"][0, :6] + 1) % 11
        write_masks(Path(self.after("--masks")), masks)

    def after(self, flag: str, call: int = -1) -> str:
        """Return the argument after a flag in a call."""
        return self.calls[call][self.calls[call].index(flag) + 1]


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    children = Children()
    monkeypatch.setattr(module, "run_dlcv", children)
    return children


REQUEST = EvalRequest(
    ModelRef("checkpoint", Path("best.ckpt"), None), Path("set"), "test", "cpu", 2, EvalSegFlags()
)
EVALUATOR = SegmentationEvaluator()


def test_the_result_is_from_onnx_runtime_and_compare_from_pytorch(
    children: Children,
) -> None:
    result = compare(Path("best.ckpt"), Path("model.onnx"), REQUEST, EVALUATOR)
    added = result.pop("compare")
    assert result == result_of("onnx", 0.51, 6.0)
    pixels = sum(height * width for height, width in SHAPES)
    assert added == {
        "torch": {
            "miou": 0.5,
            "convention": "voc",
            "classes_scored": 11,
            "iou_per_class": {"sky": 0.5},
            "provider": "torch provider",
            "images_per_s": 4.0,
            "speed": {"images_per_s": 4.0, "wall_s": 1.0},
        },
        "argmax_agreement": pytest.approx(1 - 6 / pixels),
        "speedup": 1.5,
    }


def test_both_get_the_same_request_and_no_file_remains(children: Children) -> None:
    compare(Path("best.ckpt"), Path("model.onnx"), REQUEST, EVALUATOR)
    torch, onnx = (call[:10] for call in children.calls)
    rest = ["--data", "set", "--split", "test", "--provider", "cpu", "--batch-size", "2"]
    assert torch == ["eval", "best.ckpt", *rest]
    assert onnx == ["eval", "model.onnx", *rest]
    for flag in ("--json", "--masks"):
        paths = {children.after(flag, call) for call in (0, 1)}
        assert len(paths) == 2
        assert not any(os.path.exists(os.path.dirname(path)) for path in paths)


@pytest.mark.parametrize("fails_at", [1, 2])
def test_an_evaluation_that_fails_ends_the_comparison(children: Children, fails_at: int) -> None:
    children.fails_at = fails_at
    with pytest.raises(AlreadySaid) as caught:
        compare(Path("best.ckpt"), Path("model.onnx"), REQUEST, EVALUATOR)
    assert caught.value.status == 3
    assert len(children.calls) == fails_at
    assert not os.path.exists(os.path.dirname(children.after("--json")))
