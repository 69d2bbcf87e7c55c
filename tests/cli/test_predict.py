"""`dlcv predict` on the command line: images from files, folders and stdin."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dlcvcli.runs import RunFolder
from tests.cli.command import dlcv, dlcv_without_torch, refused


def test_predict_takes_files_folders_and_stdin(
    exported_run: Path, landcover: Path, tmp_path: Path
) -> None:
    image = landcover / "validation" / "0000_sat.jpg"
    onnx_file = RunFolder(exported_run).onnx
    done = dlcv("predict", onnx_file, "-", "--out", tmp_path / "a", stdin=f"{image}\n")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "a" / "0000_sat.png") in done.stdout
    assert (tmp_path / "a" / "0000_sat_overlay.jpg").is_file()
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"x")
    done = dlcv("predict", onnx_file, bad, image, "--out", tmp_path / "b", "--no-overlay")
    assert done.returncode == 1
    assert "1 of 2 images could not be read" in done.stderr
    assert "hint: convert it, for instance to PNG" in done.stderr
    assert (tmp_path / "b" / "0000_sat.png").is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode there")
def test_names_on_stdin_need_not_be_utf_8(
    exported_run: Path, landcover: Path, tmp_path: Path
) -> None:
    image = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    Path(os.fsdecode(image)).write_bytes((landcover / "train" / "0000_sat.jpg").read_bytes())
    onnx = RunFolder(exported_run).onnx
    done = dlcv("predict", onnx, "-", "--out", tmp_path / "out", stdin=image + b"\n")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / os.fsdecode(b"caf\xe9.png")).is_file()


def test_an_empty_list_on_stdin_is_refused(exported_run: Path, tmp_path: Path) -> None:
    predict = ("predict", RunFolder(exported_run).onnx, "-", "--out", tmp_path)
    refused(1, *predict, message="no image was named")


def test_predicting_with_an_onnx_file_needs_no_torch(
    exported_run: Path, landcover: Path, tmp_path: Path
) -> None:
    image = landcover / "train" / "0000_sat.jpg"
    predicted = dlcv_without_torch(
        "predict", RunFolder(exported_run).onnx, image, "--out", tmp_path / "predicted"
    )
    assert predicted.returncode == 0, predicted.stderr
    assert (tmp_path / "predicted" / "0000_sat.png").is_file()


def test_predict_overwrites_no_file_and_no_image(
    exported_run: Path, landcover: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    image = landcover / "validation" / "0000_sat.jpg"
    onnx_file = RunFolder(exported_run).onnx
    for out in (file, file / "below"):
        refused(
            2, "predict", onnx_file, image, "--out", out, message="file is a file, not a folder"
        )
    overwrites = ("predict", onnx_file, tmp_path / "0000.png", "--out", tmp_path)
    (tmp_path / "0000.png").write_bytes(image.read_bytes())
    refused(2, *overwrites, message="would overwrite an image")
    assert (tmp_path / "0000.png").read_bytes() == image.read_bytes()
