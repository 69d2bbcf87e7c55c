"""An exported encoder under ONNX Runtime: its embeddings, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from dlcvcli.errors import ModelFileError
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.session import Session
from dlcvcli.tasks.fewshot.card import EPISODE, EncoderCard
from dlcvcli.tasks.fewshot.load import load_encoder
from dlcvcli.tasks.fewshot.predictor import OnnxEncoder
from dlcvcli.tasks.segmentation.predictor import OnnxPredictor
from tests.inference.on_device import OnDevice

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3)).astype(np.uint8)
CARD = EncoderCard("fewshot", "conv4", 8, {"name": "euclidean"}, size=(16, 16))


def test_embeddings_are_pytorchs_and_each_image_stands_alone(exported_fewshot: Path) -> None:
    run = RunFolder(exported_fewshot)
    onnx_one = OnnxEncoder.load(run.onnx, "cpu")
    torch_one = load_encoder(find_model(exported_fewshot), provider="cpu")
    found = onnx_one(IMAGES, StageClock())
    expected = torch_one(IMAGES, StageClock())
    assert (found.shape, found.dtype) == ((5, onnx_one.card.dimension), np.float32)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    alone = onnx_one(IMAGES[3:4], StageClock())
    assert np.abs(alone[0] - found[3]).max() <= 1e-4 * np.abs(found).max()


def test_on_a_cpu_there_is_nothing_to_copy(exported_fewshot: Path) -> None:
    embedder = OnnxEncoder.load(RunFolder(exported_fewshot).onnx, "cpu")
    assert (embedder.backend, embedder.precision) == ("onnx", "fp32")
    assert embedder.provider == "CPUExecutionProvider"
    assert embedder.notes == {"provider_reason": "asked for"}
    clock = StageClock()
    embedder(IMAGES, clock)
    assert clock.seconds.keys() == {"run"}


def test_on_a_gpu_images_go_up_and_embeddings_come_down() -> None:
    device = OnDevice(lambda inputs: inputs["images"][:, 0, :8, 0].astype(np.float32))
    nodes = {"CUDAExecutionProvider": 17}
    embedder = OnnxEncoder(Session(device, "CUDAExecutionProvider", "a GPU", nodes), CARD)
    assert embedder.notes == {"provider_reason": "a GPU", "nodes_per_provider": nodes}
    clock = StageClock()
    found = embedder(IMAGES, clock)
    assert np.array_equal(found, IMAGES[:, 0, :8, 0].astype(np.float32))
    assert device.inputs["images"] is IMAGES
    assert device.calls == ["bind", "embedding on cuda", "run", "wait", "copy"]
    assert clock.seconds.keys() == {"copy", "run"}
    assert len(clock.laps["run"]) == 1


def with_card(source: Path, target: Path, card: EncoderCard) -> Path:
    """Write a model with another card."""
    model = onnx.load(source)
    del model.metadata_props[:]
    for key, value in card.to_metadata().items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, target)
    return target


def test_a_card_of_another_encoder_is_refused(exported_fewshot: Path, tmp_path: Path) -> None:
    source = RunFolder(exported_fewshot).onnx
    known = OnnxEncoder.load(source, "cpu").card
    for card in (replace(known, dimension=99), replace(known, size=(20, 20))):
        path = with_card(source, tmp_path / "other.onnx", card)
        with pytest.raises(ModelFileError, match="not the model that its dlcv metadata describes"):
            OnnxEncoder.load(path, "cpu")


def test_a_graph_of_episodes_is_not_an_encoder(exported_fewshot: Path, tmp_path: Path) -> None:
    path = tmp_path / "episode.onnx"
    with_card(RunFolder(exported_fewshot).onnx, path, replace(CARD, graph=EPISODE))
    with pytest.raises(ModelFileError, match="takes whole episodes") as caught:
        OnnxEncoder.load(path, "cpu")
    assert "without --episode" in caught.value.hint


def test_files_of_the_other_task_are_refused_both_ways(
    exported_fewshot: Path, exported_run: Path
) -> None:
    fewshot, seg = RunFolder(exported_fewshot).onnx, RunFolder(exported_run).onnx
    with pytest.raises(ModelFileError) as caught:
        OnnxEncoder.load(seg, "cpu")
    assert caught.value.message == f"{seg} holds task 'seg'; a few-shot model is needed"
    with pytest.raises(ModelFileError) as caught:
        OnnxPredictor.load(fewshot, "cpu")
    assert caught.value.message == f"{fewshot} holds task 'fewshot'; a segmenter is needed"
