"""An exported file says what it is, gives PyTorch's numbers, and fails loudly when it does not."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.reading import Pixels
from dlcvcli.data.segmentation import open_split
from dlcvcli.errors import CheckFailed, UsageError
from dlcvcli.exporting.export import export
from dlcvcli.files import sha256_of
from dlcvcli.palette import Mask
from dlcvcli.runs import ModelRef, RunFolder, find_model
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation import export as module
from dlcvcli.tasks.segmentation.load import load_predictor
from dlcvcli.tasks.segmentation.predictor import OnnxPredictor
from dlcvcli.tasks.segmentation.scoring import evaluate


def test_the_file_says_what_it_is(exported_run: Path) -> None:
    run = RunFolder(exported_run)
    model = onnx.load(run.onnx)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18
    said = {entry.key: entry.value for entry in model.metadata_props}
    assert said["task"] == "seg"
    assert said["model"] == "lraspp_mobilenet_v3_large"
    assert json.loads(said["classes"])[0] == "urban"
    assert json.loads(said["palette"])[0] == [0, 255, 255]
    assert json.loads(said["mean"]) == [0.485, 0.456, 0.406]
    assert json.loads(said["config"])["train"]["steps"] == 6
    assert said["checkpoint_sha256"] == sha256_of(run.best)
    expected = {"std", "size", "resize", "ignore_index", "recipe", "data_sha256", "metric"}
    assert expected | {"versions"} <= said.keys()


def test_the_certificate_has_its_figures(exported_run: Path) -> None:
    run = RunFolder(exported_run)
    certificate = json.loads(run.certificate.read_text())
    assert certificate["passed"] is True
    assert certificate["sha256"] == sha256_of(run.onnx)
    assert certificate["parity"]["max_logits_error"] <= 1e-4
    cases = certificate["parity"]["cases"]
    assert {case["images"][0] for case in cases} == {1, 2}
    assert len({tuple(case["images"][1:]) for case in cases}) == 3
    assert any(case["images"][1] % 2 for case in cases)
    assert any(case["images"][1] != case["images"][2] for case in cases)
    assert all(check["passed"] for check in certificate["structure"].values())


def test_both_backends_score_the_same_through_one_loop(exported_run: Path, landcover: Path) -> None:
    run = RunFolder(exported_run)
    found = []
    for ref in (find_model(exported_run), find_model(run.onnx)):
        predictor = load_predictor(ref, provider="cpu")
        data = open_split(landcover, "val", classes=predictor.card.classes)
        found.append(evaluate(predictor, EvalBatches(data, 3), conventions=["voc", "dlcv"]))
    torch_result, onnx_result = found
    assert onnx_result.metrics["miou"] == pytest.approx(torch_result.metrics["miou"], abs=1e-4)
    assert onnx_result.data == torch_result.data
    assert np.abs(onnx_result.counts - torch_result.counts).sum() <= 2


@pytest.mark.usefixtures("trace_once")
def test_a_file_that_misses_the_tolerance_is_kept_under_a_name_that_says_so(
    tmp_path: Path, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = module.trace

    def skewed(*arguments: Any) -> Any:
        traced = original(*arguments)
        weight = next(w for w in traced.graph.initializer if len(w.dims) == 4)
        weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * 1.05, weight.name))
        return traced

    monkeypatch.setattr(module, "trace", skewed)
    with pytest.raises(CheckFailed, match="logits differ") as caught:
        export(find_model(trained_run), tmp_path / "model.onnx")
    assert caught.value.status == 3
    assert not (tmp_path / "model.onnx").exists()
    assert (tmp_path / "model.failed.onnx").is_file()
    certificate = json.loads((tmp_path / "model.failed.certificate.json").read_text())
    assert certificate["passed"] is False
    assert certificate["file"] == "model.failed.onnx"


def test_an_onnx_file_cannot_be_exported_again(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="already"):
        export(ModelRef("onnx", tmp_path / "x.onnx", None), tmp_path / "y.onnx")


@pytest.mark.parametrize("opset", [17, 99])
def test_an_opset_that_cannot_be_written_is_refused(
    tmp_path: Path, trained_run: Path, opset: int
) -> None:
    with pytest.raises(UsageError, match=f"--opset {opset}: the exporter writes opset 18 to"):
        export(find_model(trained_run), tmp_path / "x.onnx", opset=opset)


@pytest.mark.usefixtures("trace_once")
def test_the_images_that_differ_most_are_named(
    tmp_path: Path, trained_run: Path, landcover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Skewed(OnnxPredictor):
        def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
            masks = super().__call__(images, size, clock).copy()
            # Another class in the first row of the first image of each batch of 4.
            masks[0, 0] = (masks[0, 0] + 1) % 7
            return masks

    monkeypatch.setattr(module, "OnnxPredictor", Skewed)
    data = open_split(landcover, "val")
    with contextlib.suppress(CheckFailed):
        export(find_model(trained_run), tmp_path / "model.onnx", verify_data=data)
    (path,) = tmp_path.glob("*certificate.json")
    scored = json.loads(path.read_text())["dataset"]
    assert scored["images"] == len(data)
    firsts = [pair.name for pair in data.pairs[::4]]
    assert [found["image"] for found in scored["differ_most"]] == firsts
    assert {found["share"] for found in scored["differ_most"]} == {1 / 64}
