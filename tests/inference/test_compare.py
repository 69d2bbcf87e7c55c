"""Both backends in processes of their own: what they are asked, how they end, where they differ."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.masks import write_mask
from dlcvcli.errors import AlreadySaid
from dlcvcli.files import sha256_of
from dlcvcli.inference import compare as module
from dlcvcli.inference.compare import EvalRequest, checkpoint_of, compare, mask_agreement, run_dlcv
from dlcvcli.palette import PRESETS, Mask
from dlcvcli.runs import ModelRef, RunFolder
from dlcvcli.tasks.segmentation.card import SegmenterCard

CLASSES = PRESETS["camvid11"]
SHAPES = [(20, 30), (30, 20), (17, 9)]


def write_masks(folder: Path, masks: dict[str, Mask]) -> Path:
    """Write masks as an evaluation keeps them."""
    folder.mkdir(parents=True)
    for name, mask in masks.items():
        write_mask(folder / f"{name}.png", mask, CLASSES)
    return folder


def some_masks() -> dict[str, Mask]:
    rng = np.random.default_rng(0)
    return {str(i): rng.integers(0, 11, size).astype(np.uint8) for i, size in enumerate(SHAPES)}


# -- a child --------------------------------------------------------------------------------------


def child(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a shell script stand for Python."""
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


def test_a_child_that_does_well_is_dlcv_with_our_arguments_and_keeps_off_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    child(tmp_path, 'for word in "$@"; do echo "$word" >&2; done; echo result', monkeypatch)
    run_dlcv(["eval", "my run", "--json", "-"])
    captured = capfd.readouterr()
    assert captured.err.splitlines() == ["-m", "dlcvcli", "eval", "my run", "--json", "-"]
    assert captured.out == ""


def test_a_dlcv_of_ours_says_itself_what_is_wrong(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(AlreadySaid) as caught:
        run_dlcv(["eval", str(tmp_path / "none"), "--data", str(tmp_path)])
    assert caught.value.status == 1
    assert f"error: model {tmp_path / 'none'} does not exist" in capfd.readouterr().err


# -- the checkpoint behind a file -----------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with three checkpoints, each of other bytes."""
    run = RunFolder(tmp_path / "run")
    run.create()
    for name in ("best", "last", "step-0000010"):
        (run.checkpoints / f"{name}.ckpt").write_bytes(name.encode())
    (run.checkpoints / "notes.txt").write_bytes(b"notes")
    return run


def card_with(sha256: str) -> SegmenterCard:
    return SegmenterCard("seg", "made", CLASSES, 16, checkpoint_sha256=sha256)


@pytest.mark.parametrize("name", ["best.ckpt", "last.ckpt", "step-0000010.ckpt"])
def test_the_checkpoint_of_a_file_is_found_by_its_digest(run: RunFolder, name: str) -> None:
    path = run.checkpoints / name
    assert checkpoint_of(ModelRef("onnx", run.onnx, run), card_with(sha256_of(path))) == path


def test_a_checkpoint_that_is_gone_is_none(run: RunFolder) -> None:
    onnx = ModelRef("onnx", run.onnx, run)
    gone = sha256_of(run.best)
    run.best.write_bytes(b"trained further")
    assert checkpoint_of(onnx, card_with(gone)) is None
    assert checkpoint_of(onnx, card_with("")) is None
    # Only checkpoints are looked at.
    assert checkpoint_of(onnx, card_with(sha256_of(run.checkpoints / "notes.txt"))) is None


def test_a_file_without_its_run_has_no_checkpoint(run: RunFolder, tmp_path: Path) -> None:
    card = card_with(sha256_of(run.best))
    assert checkpoint_of(ModelRef("onnx", run.onnx, None), card) is None
    empty = RunFolder(tmp_path / "empty")
    assert checkpoint_of(ModelRef("onnx", empty.onnx, empty), card) is None


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
    """Stands for `run_dlcv`: notes how it is called, and leaves what an evaluation would."""

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
        """Return what follows a flag in a call."""
        return self.calls[call][self.calls[call].index(flag) + 1]


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    children = Children()
    monkeypatch.setattr(module, "run_dlcv", children)
    return children


REQUEST = EvalRequest(Path("set"), ("--split", "test", "--batch-size", "2"))


def test_the_result_is_onnx_runtimes_with_pytorchs_beside_it(children: Children) -> None:
    found = compare(Path("best.ckpt"), Path("model.onnx"), REQUEST)
    added = found.pop("compare")
    assert found == result_of("onnx", 0.51, 6.0)
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


def test_both_are_asked_for_the_same_and_nothing_is_left_behind(children: Children) -> None:
    compare(Path("best.ckpt"), Path("model.onnx"), REQUEST)
    torch, onnx = (call[:8] for call in children.calls)
    rest = ["--data", "set", "--split", "test", "--batch-size", "2"]
    assert torch == ["eval", "best.ckpt", *rest]
    assert onnx == ["eval", "model.onnx", *rest]
    for flag in ("--json", "--masks"):
        paths = {children.after(flag, call) for call in (0, 1)}
        assert len(paths) == 2
        assert not any(os.path.exists(os.path.dirname(path)) for path in paths)


@pytest.mark.parametrize("fails_at", [1, 2])
def test_a_half_that_fails_ends_the_comparison(children: Children, fails_at: int) -> None:
    children.fails_at = fails_at
    with pytest.raises(AlreadySaid) as caught:
        compare(Path("best.ckpt"), Path("model.onnx"), REQUEST)
    assert caught.value.status == 3
    assert len(children.calls) == fails_at
    assert not os.path.exists(os.path.dirname(children.after("--json")))


# -- masks ----------------------------------------------------------------------------------------


def test_equal_masks_agree_wholly(tmp_path: Path) -> None:
    first = write_masks(tmp_path / "a", some_masks())
    assert mask_agreement(first, write_masks(tmp_path / "b", some_masks())) == 1.0


def test_every_pixel_counts_the_same_in_images_of_any_size(tmp_path: Path) -> None:
    masks = some_masks()
    first = write_masks(tmp_path / "a", masks)
    # One pixel of a large image, and all of a small one.
    masks["0"][0, 0] = (masks["0"][0, 0] + 1) % 11
    masks["2"] = (masks["2"] + 1) % 11
    second = write_masks(tmp_path / "b", masks)
    total = sum(height * width for height, width in SHAPES)
    assert mask_agreement(first, second) == pytest.approx(1 - (1 + 17 * 9) / total)


def test_the_class_ids_are_compared_not_the_colours(tmp_path: Path) -> None:
    first = write_masks(tmp_path / "a", {"0": np.full((4, 4), 3, np.uint8)})
    second = tmp_path / "b"
    second.mkdir()
    Image.fromarray(np.full((4, 4), 3, np.uint8)).save(second / "0.png")
    assert mask_agreement(first, second) == 1.0


def test_folders_with_other_masks_are_a_bug(tmp_path: Path) -> None:
    first = write_masks(tmp_path / "a", some_masks())
    second = write_masks(tmp_path / "b", some_masks())
    (second / "1.png").unlink()
    with pytest.raises(ValueError, match="different masks"):
        mask_agreement(first, second)
