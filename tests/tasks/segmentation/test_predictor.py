"""An exported segmenter under ONNX Runtime: its masks, its notes, and refused files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from dlcvcli.errors import ModelFileError
from dlcvcli.palette import PRESETS
from dlcvcli.runs import RunFolder
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.session import Session
from dlcvcli.tasks.segmentation.card import SegmenterCard
from dlcvcli.tasks.segmentation.predictor import OnnxPredictor
from tests.inference.on_device import OnDevice

CARD = SegmenterCard("seg", "synthetic", PRESETS["landcover7"], 16)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 12, 20, 3)).astype(np.uint8)


def edited(source: Path, target: Path, card: SegmenterCard) -> Path:
    """Write a model with another card."""
    model = onnx.load(source)
    del model.metadata_props[:]
    for key, value in card.to_metadata().items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, target)
    return target


def test_masks_have_the_requested_size_and_the_classes_of_the_card(exported_run: Path) -> None:
    predictor = OnnxPredictor.load(RunFolder(exported_run).onnx, "cpu")
    assert predictor.card.model == "lraspp_mobilenet_v3_large"
    masks = predictor(IMAGES, (7, 31), StageClock())
    assert (masks.shape, masks.dtype) == ((2, 7, 31), np.uint8)
    assert masks.max() < len(predictor.card.classes)
    alone = predictor(IMAGES[1:], (7, 31), StageClock())
    assert (alone[0] == masks[1]).mean() > 0.99


def test_nothing_is_copied_on_a_cpu(exported_run: Path) -> None:
    predictor = OnnxPredictor.load(RunFolder(exported_run).onnx, "cpu")
    assert predictor.provider == "CPUExecutionProvider"
    assert predictor.notes == {"provider_reason": "asked for"}
    clock = StageClock()
    predictor(IMAGES, (12, 20), clock)
    predictor(IMAGES, (12, 20), clock)
    assert clock.seconds.keys() == {"run"}


def test_a_file_of_another_task_is_refused(exported_run: Path, tmp_path: Path) -> None:
    path = edited(
        RunFolder(exported_run).onnx, tmp_path / "few.onnx", replace(CARD, task="fewshot")
    )
    with pytest.raises(ModelFileError) as caught:
        OnnxPredictor.load(path, "cpu")
    assert caught.value.message == f"{path} is a model of task fewshot; one of seg is needed"


def test_a_file_without_a_card_is_refused(exported_run: Path, tmp_path: Path) -> None:
    model = onnx.load(RunFolder(exported_run).onnx)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(ModelFileError, match=r"bare\.onnx is an ONNX model, but not one that dlcv"):
        OnnxPredictor.load(tmp_path / "bare.onnx", "cpu")


def test_a_graph_that_contradicts_its_card_is_refused(exported_run: Path, tmp_path: Path) -> None:
    run = RunFolder(exported_run)
    known = OnnxPredictor.load(run.onnx, "cpu").card
    path = edited(run.onnx, tmp_path / "many.onnx", replace(known, classes=PRESETS["voc21"]))
    with pytest.raises(ModelFileError, match="has 7 classes, and its metadata names 21"):
        OnnxPredictor.load(path, "cpu")


def test_only_images_and_masks_are_copied_on_a_gpu() -> None:
    def red(inputs: dict[str, Any]) -> Any:
        height, width = inputs["size"]
        return inputs["images"][:, :height, :width, 0]

    device = OnDevice(red)
    nodes = {"CUDAExecutionProvider": 90, "CPUExecutionProvider": 4}
    session = Session(device, "CUDAExecutionProvider", "a GPU is at hand", nodes)
    predictor = OnnxPredictor(session, CARD)
    assert predictor.notes == {
        "provider_reason": "a GPU is at hand",
        "nodes_per_provider": nodes,
    }
    clock = StageClock()
    masks = predictor(IMAGES, (5, 6), clock)
    assert np.array_equal(masks, IMAGES[:, :5, :6, 0])
    assert device.inputs["images"] is IMAGES
    assert device.inputs["size"].tolist() == [5, 6]
    assert device.inputs["size"].dtype == np.int64
    # Waiting counts as running, and only the mask is copied back.
    assert device.calls == ["bind", "mask on cuda", "run", "wait", "copy"]
    assert clock.seconds.keys() == {"copy", "run"}
