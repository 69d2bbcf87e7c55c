"""`dlcv eval` on the command line: both backends, thresholds and unusable models."""

from __future__ import annotations

import csv
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from dlcvcli.runs import RunFolder
from tests.cli.command import Code, dlcv, dlcv_without_torch, refused
from tests.json_reference import undocumented, undocumented_in_run


def test_an_unusable_model_exits_with_1(
    tmp_path: Path, landcover: Path, exported_run: Path
) -> None:
    evaluate = ("--data", landcover, "--provider", "cpu")
    refused(1, "eval", tmp_path / "none.onnx", *evaluate, message="does not exist")
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    refused(1, "eval", text, *evaluate, message="not an ONNX model")
    refused(1, "eval", landcover, *evaluate, message="not a run folder")
    import onnx

    foreign = onnx.load(RunFolder(exported_run).onnx)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    refused(1, "eval", tmp_path / "foreign.onnx", *evaluate, message="not one that dlcv exported")
    truncated = tmp_path / "cut.ckpt"
    truncated.write_bytes(RunFolder(exported_run).best.read_bytes()[:1000])
    refused(1, "eval", truncated, *evaluate, message="cannot be read")
    ran = tmp_path / "ran"
    code = tmp_path / "code.ckpt"
    code.write_bytes(pickle.dumps(Code(ran)))
    refused(1, "eval", code, *evaluate, message="more than tensors and plain types")
    assert not ran.exists()
    onnx_file = RunFolder(exported_run).onnx
    # An error in a child process is reported once.
    refused(1, "eval", truncated, *evaluate, "--compare", message="cannot be read")
    refused(1, "eval", onnx_file, "--data", tmp_path / "nowhere", message="does not exist")
    refused(2, "eval", onnx_file, *evaluate, "--metric", "vok", message="vok")


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="this machine has a GPU")
def test_cuda_without_a_gpu_exits_with_1(exported_run: Path, landcover: Path) -> None:
    for model in (RunFolder(exported_run).onnx, exported_run):
        stderr = refused(
            1, "eval", model, "--data", landcover, "--provider", "cuda", message="cuda"
        )
        assert "--provider cpu" in stderr


def test_compare_needs_the_run_beside_the_file(
    tmp_path: Path, exported_run: Path, landcover: Path
) -> None:
    lonely = tmp_path / "model.onnx"
    lonely.write_bytes(RunFolder(exported_run).onnx.read_bytes())
    refused(2, "eval", lonely, "--data", landcover, "--compare", message="--compare needs")


def test_eval_of_an_onnx_file_needs_no_torch(exported_run: Path, landcover: Path) -> None:
    # torch cannot be imported here, and running ONNX models must not need it.
    done = dlcv_without_torch(
        "eval", RunFolder(exported_run).onnx, "--data", landcover, "--json", "-",
        "--metric", "voc", "--metric", "dlcv", "--provider", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["task"] == "seg"
    assert (result["backend"], result["provider"]) == ("onnx", "CPUExecutionProvider")
    assert result["provider_reason"] == "asked for"
    assert result["data"].keys() == {"path", "split", "images", "trained_on", "sha256"}
    assert result["data"]["images"] == 4
    metrics = result["metrics"]
    expected = {"miou", "overall_acc", "mean_acc", "freqw_acc", "iou_per_class", "classes_present"}
    assert expected | {"classes_scored", "by_convention"} <= metrics.keys()
    assert metrics["by_convention"].keys() == {"voc", "dlcv"}
    assert 0 <= metrics["miou"] <= 1
    assert metrics["iou_per_class"]["unknown"] is None
    speed = {"images_per_s", "peak_memory_mb", "latency_ms", "wall_s", "share"}
    assert speed <= result["speed"].keys()


def test_training_images_are_counted_or_excluded(
    exported_run: Path, landcover: Path, tmp_path: Path
) -> None:
    # One folder without splits; four of the twelve training images have names of validation images.
    flat = tmp_path / "flat"
    for split in ("train", "validation"):
        shutil.copytree(landcover / split, flat, dirs_exist_ok=True)
    onnx = RunFolder(exported_run).onnx
    known = json.loads(RunFolder(exported_run).environment.read_text())["data"]["sha256"]

    def evaluated(*flags: object) -> tuple[dict[str, Any], str]:
        done = dlcv("eval", onnx, *flags, "--provider", "cpu", "--json", "-")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["data"], done.stderr

    data, stderr = evaluated("--data", flat)
    assert (data["images"], data["trained_on"], data["split"]) == (4, 0, "val")
    assert data["sha256"] == known["val"]
    assert "4 of its 12 images that the model's training held out" in stderr
    data, _ = evaluated("--data", flat, "--split", "all")
    assert (data["images"], data["trained_on"], data["split"]) == (12, 8, "all")
    data, _ = evaluated("--data", landcover, "--split", "train")
    assert (data["images"], data["trained_on"]) == (12, 12)
    shown = dlcv("eval", onnx, "--data", flat, "--split", "all", "--provider", "cpu").stdout
    assert "warning: the model was trained on 8 of the 12 images" in " ".join(shown.split())


def test_without_torch_the_error_names_torch(exported_run: Path, landcover: Path) -> None:
    evaluate = ("eval", exported_run, "--data", landcover, "--provider", "cpu")
    done = dlcv_without_torch(*evaluate)
    assert done.returncode == 1
    assert "error: running a PyTorch checkpoint needs torch" in done.stderr
    done = dlcv_without_torch(*evaluate, "--compare")
    assert done.returncode == 1
    assert "error: --compare needs torch" in done.stderr
    # With its ONNX file, a run can be scored without torch.
    assert dlcv_without_torch(*evaluate, "--onnx").returncode == 0


def test_compare_shows_both_backends(exported_run: Path, landcover: Path, tmp_path: Path) -> None:
    report = tmp_path / "eval.json"
    done = dlcv(
        "eval", exported_run, "--data", landcover, "--onnx", "--compare", "--provider", "cpu",
        "--json", report,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(report.read_text())
    compare = result["compare"]
    assert result["backend"] == "onnx"
    assert compare["torch"]["miou"] == pytest.approx(result["metrics"]["miou"], abs=1e-4)
    scalars = {k for k, v in result["metrics"].items() if not isinstance(v, dict)}
    assert scalars <= compare["torch"].keys()
    assert compare["argmax_agreement"] >= 0.9999
    assert compare["speedup"] == pytest.approx(
        result["speed"]["images_per_s"] / compare["torch"]["images_per_s"]
    )
    assert "of all pixels agree" in done.stdout


def test_a_score_below_the_threshold_exits_with_3(exported_run: Path, landcover: Path) -> None:
    evaluate = ("eval", RunFolder(exported_run).onnx, "--data", landcover, "--provider", "cpu")
    done = dlcv(*evaluate, "--min-miou", "0.99", "--json", "-")
    assert done.returncode == 3
    assert json.loads(done.stdout)["metrics"]["miou"] < 0.99
    assert "below --min-miou" in done.stderr
    assert dlcv(*evaluate, "--min-miou", "0").returncode == 0


def test_an_unwritable_result_is_one_line(
    exported_run: Path, landcover: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    evaluate = ("eval", RunFolder(exported_run).onnx, "--data", landcover, "--provider", "cpu")
    refused(2, *evaluate, "--masks", file, message="file is a file")
    assert "cannot write" in dlcv(*evaluate, "--json", file / "eval.json").stderr


@pytest.mark.usefixtures("children_here", "trace_once")
def test_both_backends_agree_with_tiles_and_tta(
    tmp_path: Path, exported_run: Path, landcover: Path
) -> None:
    run, matrix = tmp_path / "run", tmp_path / "matrix.csv"
    shutil.copytree(exported_run, run)
    done = dlcv(
        *("eval", run, "--data", landcover, "--compare", "--tile", "48", "--overlap", "16"),
        *("--tta", "--tta-scales", "1.25", "--boundary", "--metric", "voc"),
        *("--metric", "smp-imagewise", "--provider", "cpu", "--confusion", matrix, "--json", "-"),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert not undocumented("dlcv eval --json", result)
    assert not undocumented_in_run(exported_run)
    assert result["tile"] == [48, 48]
    assert result["overlap"] == 16
    assert result["tta"] == {"scales": [1.25], "flip": True}
    assert result["compare"]["argmax_agreement"] > 0.999
    metrics = result["metrics"]
    assert result["compare"]["torch"]["miou"] == pytest.approx(metrics["miou"], abs=1e-3)
    assert 0 <= metrics["boundary"]["f1"] <= 1
    assert metrics["by_convention"]["smp-imagewise"]["miou"] >= 0
    rows = list(csv.reader(matrix.read_text().splitlines()))
    assert rows[0][1:] == metrics["confusion"]["classes"]
    counts = [[int(value) for value in row[1:]] for row in rows[1:]]
    assert counts == metrics["confusion"]["counts"]
    assert sum(map(sum, counts)) == 4 * 64 * 64
    # The run's own model.onnx, which returns masks only, is unchanged.
    assert RunFolder(run).onnx.read_bytes() == RunFolder(exported_run).onnx.read_bytes()


def test_invalid_tiles_and_scales_are_refused(exported_run: Path, landcover: Path) -> None:
    onnx = RunFolder(exported_run).onnx
    evaluate = ("eval", onnx, "--data", landcover, "--provider", "cpu")
    refused(2, *evaluate, "--tile", "48", message="returns masks only")
    refused(2, *evaluate, "--tta", message="returns masks only")
    refused(2, *evaluate, "--overlap", "8", message="--overlap goes with --tile")
    refused(2, *evaluate, "--tta-scales", "1", message="--tta-scales goes with --tta")
    refused(2, *evaluate, "--tile", "48", "--overlap", "40", message="does not fit tiles of 48x48")
    refused(2, *evaluate, "--tile", "4", message="at least 32 pixels")
    refused(2, *evaluate, "--tile", "big", message="'big' is not HxW")
    refused(2, *evaluate, "--tta", "--tta-scales", "a,b", message="no list of numbers")
    refused(2, *evaluate, "--tile", "48", "--size", "96x96", message="contradict")
    refused(2, *evaluate, "--confusion", "m.txt", message="ends in none of .csv, .png, .pdf")
