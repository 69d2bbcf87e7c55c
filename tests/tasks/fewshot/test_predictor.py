"""An exported encoder under ONNX Runtime: its embeddings, and refused files."""

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


def test_embeddings_equal_those_of_pytorch_at_any_batch_size(exported_fewshot: Path) -> None:
    run = RunFolder(exported_fewshot)
    onnx_one = OnnxEncoder.load(run.onnx, "cpu")
    torch_one = load_encoder(find_model(exported_fewshot), provider="cpu")
    embeddings = onnx_one(IMAGES, StageClock())
    expected = torch_one(IMAGES, StageClock())
    assert (embeddings.shape, embeddings.dtype) == ((5, onnx_one.card.dimension), np.float32)
    assert np.abs(embeddings - expected).max() <= 1e-4 * np.abs(expected).max()
    alone = onnx_one(IMAGES[3:4], StageClock())
    assert np.abs(alone[0] - embeddings[3]).max() <= 1e-4 * np.abs(embeddings).max()


def test_nothing_is_copied_on_a_cpu(exported_fewshot: Path) -> None:
    encoder = OnnxEncoder.load(RunFolder(exported_fewshot).onnx, "cpu")
    assert (encoder.backend, encoder.precision) == ("onnx", "fp32")
    assert encoder.provider == "CPUExecutionProvider"
    assert encoder.notes == {"provider_reason": "asked for"}
    clock = StageClock()
    encoder(IMAGES, clock)
    assert clock.seconds.keys() == {"run"}


def test_only_images_and_embeddings_are_copied_on_a_gpu() -> None:
    device = OnDevice(lambda inputs: inputs["images"][:, 0, :8, 0].astype(np.float32))
    nodes = {"CUDAExecutionProvider": 17}
    encoder = OnnxEncoder(Session(device, "CUDAExecutionProvider", "a GPU", nodes), CARD)
    assert encoder.notes == {"provider_reason": "a GPU", "nodes_per_provider": nodes}
    clock = StageClock()
    embeddings = encoder(IMAGES, clock)
    assert np.array_equal(embeddings, IMAGES[:, 0, :8, 0].astype(np.float32))
    assert device.inputs["images"] is IMAGES
    assert device.calls == ["bind", "embedding on cuda", "run", "wait", "copy"]
    assert clock.seconds.keys() == {"copy", "run"}


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


def test_an_episode_graph_is_refused(exported_fewshot: Path, tmp_path: Path) -> None:
    path = tmp_path / "episode.onnx"
    with_card(RunFolder(exported_fewshot).onnx, path, replace(CARD, graph=EPISODE))
    with pytest.raises(ModelFileError, match="takes complete episodes") as caught:
        OnnxEncoder.load(path, "cpu")
    assert "without --episode" in caught.value.hint


def test_files_of_the_other_task_are_refused_both_ways(
    exported_fewshot: Path, exported_run: Path
) -> None:
    fewshot, seg = RunFolder(exported_fewshot).onnx, RunFolder(exported_run).onnx
    with pytest.raises(ModelFileError) as caught:
        OnnxEncoder.load(seg, "cpu")
    assert caught.value.message == f"{seg} is a model of task seg; one of fewshot is needed"
    with pytest.raises(ModelFileError) as caught:
        OnnxPredictor.load(fewshot, "cpu")
    assert caught.value.message == f"{fewshot} is a model of task fewshot; one of seg is needed"
