"""A checkpoint under PyTorch: float32, NCHW, and the masks of the segmenter itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlcvcli.engine.checkpoint import load_checkpoint, save_checkpoint
from dlcvcli.errors import CheckpointError, DeviceError, DlcvError
from dlcvcli.files import sha256_of
from dlcvcli.inference.predictor import StageClock
from dlcvcli.inference.restore import load_segmenter
from dlcvcli.inference.torch_predictor import TorchPredictor
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import PRESETS
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.metadata import SegmenterCard

CPU = torch.device("cpu")
CARD = SegmenterCard("seg", "made", PRESETS["landcover7"], 8)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 12, 20, 3)).astype(np.uint8)


class Echo(nn.Module):
    """Gives its input out as the logits of three classes, and remembers how it came."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.seen = x
        self.grad = torch.is_grad_enabled()
        return {"out": x}


def test_masks_are_the_segmenters_own(trained_run: Path) -> None:
    best = RunFolder(trained_run).best
    predictor = TorchPredictor.load(find_model(trained_run), "cpu")
    assert (predictor.provider, predictor.notes) == ("cpu", {"device": "CPU"})
    assert predictor.card.checkpoint_sha256 == sha256_of(best)
    masks = predictor(IMAGES, (7, 31), StageClock())
    assert (masks.shape, masks.dtype) == ((2, 7, 31), np.uint8)
    segmenter = load_segmenter(load_checkpoint(best))
    with torch.inference_mode():
        expected = segmenter(torch.from_numpy(IMAGES), (7, 31)).numpy()
    assert (masks == expected).mean() > 0.99


def test_a_checkpoint_that_does_not_fit_is_named(trained_run: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(RunFolder(trained_run).best)
    checkpoint["config"]["model"]["name"] = "deeplabv3plus_mobilenet_v2"
    path = tmp_path / "other.ckpt"
    save_checkpoint(path, checkpoint)
    with pytest.raises(CheckpointError) as caught:
        TorchPredictor.load(find_model(path), "cpu")
    assert caught.value.message.startswith(f"{path}: the checkpoint's weights do not fit")


def test_the_network_sees_contiguous_float32_and_keeps_no_gradients() -> None:
    network = Echo()
    predictor = TorchPredictor(Segmenter(network, 8), CARD, CPU)
    masks = predictor(IMAGES, (12, 20), StageClock())
    assert network.seen.shape == (2, 3, 16, 24)
    assert network.seen.dtype == torch.float32
    assert network.seen.is_contiguous()
    assert not network.grad
    expected = Segmenter(Echo(), 8)(torch.from_numpy(IMAGES), (12, 20)).numpy()
    assert np.array_equal(masks, expected)


def test_a_network_in_training_is_put_into_evaluation() -> None:
    segmenter = Segmenter(Echo(), 8).train()
    TorchPredictor(segmenter, CARD, CPU)
    assert not any(part.training for part in segmenter.modules())


def test_images_that_may_not_be_written_to_or_lie_apart_are_taken() -> None:
    predictor = TorchPredictor(Segmenter(Echo(), 8), CARD, CPU)
    expected = predictor(IMAGES, (12, 20), StageClock())
    frozen = IMAGES.copy()
    frozen.setflags(write=False)
    apart = np.repeat(IMAGES, 2, axis=2)[:, :, ::2]
    assert not apart.flags["C_CONTIGUOUS"]
    for images in (frozen, apart):
        # A warning of torch would be an error here.
        assert np.array_equal(predictor(images, (12, 20), StageClock()), expected)


def test_time_goes_to_copying_and_to_running() -> None:
    predictor = TorchPredictor(Segmenter(Echo(), 8), CARD, CPU)
    clock = StageClock()
    for _ in range(3):
        predictor(IMAGES, (12, 20), clock)
    assert clock.seconds.keys() == {"copy", "run"}
    assert clock.laps.keys() == {"run"}
    assert len(clock.laps["run"]) == 3


class Bad(nn.Module):
    """Gives logits of which one, of a class that is not chosen, is no number."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        out = x.clone()
        out[-1, -1, 0, 0] = self.value
        return {"out": out}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_logits_that_are_not_finite_give_no_mask(value: float) -> None:
    predictor = TorchPredictor(Segmenter(Bad(value), 8), CARD, CPU)
    for use in (predictor, predictor.logits):
        with pytest.raises(DlcvError, match="are not finite"):
            use(IMAGES, (12, 20), StageClock())


@pytest.fixture
def with_tf32() -> Iterator[None]:
    """Allow TF32, and put back what was."""
    # Not by monkeypatch, which cannot see these: they are computed.
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = True
    yield
    for backend, allowed in zip(backends, before, strict=True):
        backend.allow_tf32 = allowed


@pytest.mark.usefixtures("with_tf32")
def test_arithmetic_is_whole_float32() -> None:
    TorchPredictor(Segmenter(Echo(), 8), CARD, CPU)
    assert torch.backends.cuda.matmul.allow_tf32 is False
    assert torch.backends.cudnn.allow_tf32 is False


def test_cuda_without_a_gpu_is_refused_and_auto_takes_the_cpu(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError) as caught:
        TorchPredictor.load(find_model(trained_run), "cuda")
    assert caught.value.message == "--provider cuda was asked for, and PyTorch finds no GPU"
    assert "--provider cpu" in caught.value.hint
    assert TorchPredictor.load(find_model(trained_run), "auto").provider == "cpu"
