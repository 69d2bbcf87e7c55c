"""An exported segmentation model: its metadata, its certificate, and its scores."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.reading import Pixels
from dlcvcli.data.segmentation import open_split
from dlcvcli.errors import CheckFailed
from dlcvcli.exporting.export import export
from dlcvcli.exporting.subject import Subject
from dlcvcli.files import sha256_of
from dlcvcli.palette import Mask
from dlcvcli.reporter import Silent
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.registry import open_subject
from dlcvcli.tasks.segmentation import export as module
from dlcvcli.tasks.segmentation import graph
from dlcvcli.tasks.segmentation.export import parity_shapes
from dlcvcli.tasks.segmentation.flags import ExportSegFlags
from dlcvcli.tasks.segmentation.load import load_predictor
from dlcvcli.tasks.segmentation.predictor import OnnxPredictor
from dlcvcli.tasks.segmentation.scoring import evaluate
from dlcvcli.tasks.segmentation.spec import SPEC


def subject_of(run: Path, *, logits: bool | None = None) -> Subject:
    return open_subject(SPEC, find_model(run), ExportSegFlags(logits=logits))


def test_the_metadata_describes_the_model(exported_run: Path) -> None:
    run = RunFolder(exported_run)
    model = onnx.load(run.onnx)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert metadata["task"] == "seg"
    assert metadata["model"] == "lraspp_mobilenet_v3_large"
    assert json.loads(metadata["classes"])[0] == "urban"
    assert json.loads(metadata["palette"])[0] == [0, 255, 255]
    assert json.loads(metadata["mean"]) == [0.485, 0.456, 0.406]
    assert json.loads(metadata["config"])["train"]["steps"] == 6
    assert metadata["checkpoint_sha256"] == sha256_of(run.best)
    expected = {"std", "size", "resize", "ignore_index", "recipe", "data_sha256", "metric"}
    assert expected | {"versions"} <= metadata.keys()


def test_the_certificate_has_errors_and_limits(exported_run: Path) -> None:
    run = RunFolder(exported_run)
    certificate = json.loads(run.certificate.read_text())
    assert certificate["passed"] is True
    assert certificate["sha256"] == sha256_of(run.onnx)
    assert certificate["tolerances"] == {
        "logits_error": 1e-4, "argmax_agreement": 0.9999, "near_tie": 1e-3
    }  # fmt: skip
    assert certificate["parity"]["max_logits_error"] <= 1e-4
    cases = certificate["parity"]["cases"]
    assert cases[0].keys() == {
        *("images", "size", "logits_error", "agreement", "differing", "widest_gap", "passed")
    }
    assert {case["images"][0] for case in cases} == {1, 2}
    assert len({tuple(case["images"][1:]) for case in cases}) == 3
    assert any(case["images"][1] % 2 for case in cases)
    assert any(case["images"][1] != case["images"][2] for case in cases)
    assert all(check["passed"] for check in certificate["structure"].values())


def test_the_logits_are_an_optional_second_output(tmp_path: Path, trained_run: Path) -> None:
    out = tmp_path / "model.onnx"
    done = export(subject_of(trained_run, logits=True), out)
    assert [value.name for value in onnx.load(out).graph.output] == ["mask", "logits"]
    assert done.certificate is not None
    assert done.certificate.passed


def test_both_backends_have_the_same_scores(exported_run: Path, landcover: Path) -> None:
    run = RunFolder(exported_run)
    results = []
    for ref in (find_model(exported_run), find_model(run.onnx)):
        predictor = load_predictor(ref, provider="cpu")
        data = open_split(landcover, "val", classes=predictor.card.classes)
        results.append(evaluate(predictor, EvalBatches(data, 3), conventions=["voc", "dlcv"]))
    torch_result, onnx_result = results
    assert onnx_result.metrics["miou"] == pytest.approx(torch_result.metrics["miou"], abs=1e-4)
    assert onnx_result.data == torch_result.data
    assert np.abs(onnx_result.counts - torch_result.counts).sum() <= 2


def test_a_graph_with_other_weights_fails_its_certificate(
    tmp_path: Path, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def skewed(segmenter: torch.nn.Module, *args: object) -> object:
        weight = next(p for n, p in segmenter.named_parameters() if "backbone" in n)
        kept = weight.detach().clone()
        with torch.no_grad():
            weight.mul_(1.05)
        traced = graph.trace(segmenter, *args)  # type: ignore[arg-type]
        with torch.no_grad():
            weight.copy_(kept)
        return traced

    monkeypatch.setattr(module, "trace", skewed)
    with pytest.raises(CheckFailed, match="logits differ"):
        export(subject_of(trained_run), tmp_path / "model.onnx")
    certificate = json.loads((tmp_path / "model.failed.certificate.json").read_text())
    assert certificate["passed"] is False


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
    subject = subject_of(trained_run)
    data = subject.open_data(landcover, "val", Silent())
    with contextlib.suppress(CheckFailed):
        export(subject, tmp_path / "model.onnx", verify_data=data)
    (path,) = tmp_path.glob("*certificate.json")
    scored = json.loads(path.read_text())["dataset"]
    assert (scored["images"], scored["split"]) == (len(data), "val")
    firsts = [pair.name for pair in data.pairs[::4]]
    assert [image["image"] for image in scored["differ_most"]] == firsts
    assert {image["share"] for image in scored["differ_most"]} == {1 / 64}


def test_compared_shapes_include_two_batches_an_odd_size_and_a_rectangle() -> None:
    for stride in (8, 16, 32):
        for own in (None, (256, 256), (176, 240), (5, 5)):
            shapes = [images for images, _ in parity_shapes(stride, own)]
            assert {shape[0] for shape in shapes} == {1, 2}
            assert len({shape[1:] for shape in shapes}) == 3
            assert any(shape[1] % 2 and shape[1] % stride for shape in shapes)
