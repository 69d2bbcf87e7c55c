"""`dlcv figure` on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.command import dlcv, dlcv_without_torch, refused


def test_an_architecture_is_drawn_and_its_path_printed(tmp_path: Path) -> None:
    out = tmp_path / "new" / "net.pdf"
    settings = ("--set", "auxiliary=true", "--set", "model.options.output_stride=8")
    done = dlcv("figure", "architecture", "deeplabv3_resnet50", "--out", out, *settings)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    assert done.stderr == ""
    assert out.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("unet",), "unet"),
        (("fcn8s_vgg16", "--out", "a.jpg"), "a.jpg"),
        (("fcn8s_vgg16", "--out", "folder"), ".png or .pdf"),
        (("fcn8s_vgg16", "--size", "12"), ""),
        (("fcn8s_vgg16", "--size", "big"), "big"),
        (("fcn8s_vgg16", "--set", "rate=2"), "no option 'rate'"),
        (("fcn8s_vgg16", "--set", "rate"), "KEY=VALUE"),
        (("conv4", "--size", "28x15"), "at least 16x16, and gets 28x15"),
        (("conv4", "--classes", "5"), "which has no classes"),
    ],
)
def test_invalid_arguments_of_architecture_are_refused(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    if message:
        refused(2, "figure", "architecture", *arguments, message=message)
    else:  # a single number is the side of a square
        done = dlcv("figure", "architecture", *arguments, "--out", tmp_path / "a.png")
        assert done.returncode == 0, done.stderr


def test_an_encoder_is_drawn_too(tmp_path: Path) -> None:
    drawn("architecture", "conv4", "--set", "channels=32", to=tmp_path / "conv4.png")


def test_without_torch_the_error_names_torch() -> None:
    done = dlcv_without_torch("figure", "architecture", "fcn8s_vgg16")
    assert done.returncode == 1
    assert "needs torch" in done.stderr
    assert "Traceback" not in done.stderr


def drawn(*arguments: object, to: Path) -> str:
    """Run `dlcv figure`, require a picture and its path on stdout; return stderr."""
    done = dlcv("figure", *arguments, "--out", to)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{to}\n"
    assert to.read_bytes()[:4] == (b"%PDF" if to.suffix == ".pdf" else b"\x89PNG")
    return done.stderr


def test_snapshots_and_curves_come_from_a_run_folder(trained_run: Path, tmp_path: Path) -> None:
    chosen = ("--image", "0001", "--epoch", 1, "--epoch", 2, "--colour-blind")
    drawn("snapshots", trained_run, *chosen, to=tmp_path / "s.pdf")
    other = tmp_path / "other" / trained_run.name
    shutil.copytree(trained_run, other)
    drawn("curves", trained_run, other, to=tmp_path / "c.png")
    named = ("--name", "a", "--name", "b", "--metric", "overall_acc")
    drawn("curves", trained_run, other, *named, to=tmp_path / "d.png")
    stderr = refused(
        1, "figure", "snapshots", trained_run, "--epoch", 9, message="masks of epoch 9"
    )
    assert "snapshot.epochs" in stderr
    refused(1, "figure", "curves", tmp_path / "none", message="does not exist")
    refused(2, "figure", "curves", trained_run, "--metric", "map", message="unknown metric 'map'")
    refused(2, "figure", "curves", trained_run, other, "--name", "a", message="1 --name for 2")
    refused(2, "figure", "curves", trained_run, trained_run, message="named twice")


def test_compare_draws_named_spread_worst_and_best_images(
    exported_run: Path, landcover: Path, tmp_path: Path
) -> None:
    onnx = exported_run / "model.onnx"
    data = ("--data", landcover)
    drawn("compare", onnx, *data, "--image", "0001", "--image", "0002", to=tmp_path / "a.png")
    drawn("compare", onnx, *data, "--count", 2, "--colour-blind", to=tmp_path / "b.pdf")
    drawn("compare", onnx, *data, "--worst", 1, "--best", 9, to=tmp_path / "c.png")
    seen = drawn("compare", onnx, *data, "--split", "train", "--count", 1, to=tmp_path / "d.png")
    assert "model.onnx was trained on 12 of the 12 images" in seen
    refused(2, "figure", "compare", onnx, *data, "--image", "0009", message="no image '0009'")
    refused(1, "figure", "compare", tmp_path / "x.onnx", *data, message="does not exist")
    refused(2, "figure", "compare", onnx, *data, "--out", "a.svg", message="a.svg")


def test_a_grid_reports_how_many_classes_it_shows(landcover: Path, tmp_path: Path) -> None:
    stderr = drawn("grid", landcover, "--count", 7, to=tmp_path / "grid.png")
    assert "7 images show 7 of 7 classes" in stderr
    refused(2, "figure", "grid", landcover, "--columns", 5, message="--columns 5 is odd")
    stderr = drawn(
        "grid", landcover, "--count", 1, "--split", "validation", to=tmp_path / "one.png"
    )
    assert "without: " in stderr
    refused(1, "figure", "grid", tmp_path / "nowhere", message="does not exist")


def test_a_confusion_matrix_of_a_run_or_of_an_evaluation(trained_run: Path, tmp_path: Path) -> None:
    drawn("confusion", trained_run, to=tmp_path / "run.png")
    result = json.loads((trained_run / "results.json").read_text())
    file = tmp_path / "found.json"
    file.write_text(json.dumps({"metrics": result["metrics"]}))
    drawn("confusion", file, to=tmp_path / "found.pdf")
    file.write_text("{}")
    refused(1, "figure", "confusion", file, message="holds no confusion matrix")
    refused(1, "figure", "confusion", tmp_path / "none.json", message="cannot read")
