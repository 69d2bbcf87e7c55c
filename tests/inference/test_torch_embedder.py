"""A few-shot checkpoint under PyTorch: float32, and the embeddings of the network itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.errors import CheckpointError, DeviceError
from dlcvcli.files import sha256_of
from dlcvcli.inference.predictor import StageClock
from dlcvcli.inference.restore_protonet import load_protonet
from dlcvcli.inference.torch_embedder import TorchEmbedder
from dlcvcli.models.conv4 import Conv4
from dlcvcli.models.protonet import Embedder
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.metadata import EmbedderCard

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
CARD = EmbedderCard("fewshot", "conv4", 4, {"name": "euclidean"}, size=(16, 16))


def test_embeddings_are_the_networks_own(fewshot_run: Path) -> None:
    best = RunFolder(fewshot_run).best
    embedder = TorchEmbedder.load(find_model(fewshot_run), "cpu")
    assert (embedder.backend, embedder.provider, embedder.precision) == ("torch", "cpu", "fp32")
    assert embedder.notes == {"device": "CPU"}
    assert embedder.card.checkpoint_sha256 == sha256_of(best)
    clock = StageClock()
    found = embedder(IMAGES, clock)
    assert (found.shape, found.dtype) == ((4, embedder.card.dimension), np.float32)
    assert clock.seconds.keys() == {"copy", "run"}
    assert clock.laps.keys() == {"run"}
    with torch.inference_mode():
        expected = load_protonet(load_checkpoint(best)).embedder(torch.from_numpy(IMAGES)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_network_in_training_is_put_into_evaluation() -> None:
    network = Embedder(Conv4(channels=4)).train()
    TorchEmbedder(network, CARD, torch.device("cpu"))
    assert not any(part.training for part in network.modules())


def test_images_that_may_not_be_written_to_or_lie_apart_are_taken() -> None:
    embedder = TorchEmbedder(Embedder(Conv4(channels=4)), CARD, torch.device("cpu"))
    expected = embedder(IMAGES, StageClock())
    frozen = IMAGES.copy()
    frozen.setflags(write=False)
    apart = np.repeat(IMAGES, 2, axis=2)[:, :, ::2]
    for images in (frozen, apart):
        # A warning of torch would be an error here.
        assert np.array_equal(embedder(images, StageClock()), expected)


def test_what_cannot_be_loaded_is_refused(
    fewshot_run: Path, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match="holds task 'seg', not a few-shot model"):
        TorchEmbedder.load(find_model(trained_run), "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="PyTorch finds no GPU"):
        TorchEmbedder.load(find_model(fewshot_run), "cuda")
