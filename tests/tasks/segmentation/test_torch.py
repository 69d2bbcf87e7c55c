"""A checkpoint is loaded into its segmenter and its card, or refused."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlcvcli.config.load import resolve
from dlcvcli.engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from dlcvcli.errors import CheckpointError, DeviceError, DlcvError
from dlcvcli.files import sha256_of
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import PRESETS
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.card import SegmenterCard
from dlcvcli.tasks.segmentation.settings import TrainSegSettings
from dlcvcli.tasks.segmentation.torch import TorchPredictor, card_of, load_segmenter, settings_of


def checkpoint_with(**flags: Any) -> Checkpoint:
    """Return a checkpoint without weights; `__` in a flag replaces the dot."""
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    return {
        "task": {},
        "config": resolve(TrainSegSettings, flags=dotted).model_dump(mode="json"),
        "best": {"metric": "miou", "value": 0.5, "step": 40},
        "data": {
            "classes": PRESETS["camvid11"].as_dict(),
            "sha256": {"train": "ab", "val": "cd"},
        },
        "versions": {"dlcv": "1.2.3", "torch": "2.0"},
    }


@pytest.fixture(scope="module")
def trained(trained_run: Path) -> Checkpoint:
    """The checkpoint of a trained segmenter; copy what you change."""
    return load_checkpoint(RunFolder(trained_run).best)


def test_a_card_describes_preprocessing_and_classes() -> None:
    card = card_of(
        checkpoint_with(
            model__name="deeplabv3plus_mobilenet_v2",
            data__size="176x240",
            data__layout="camvid",
            data__binarise=True,
            data__val_split="test",
        ),
        "digest",
    )
    assert (card.task, card.model, card.stride) == ("seg", "deeplabv3plus_mobilenet_v2", 16)
    assert card.classes == PRESETS["camvid11"]
    assert (card.size, card.layout, card.binarise) == ((176, 240), "camvid", True)
    assert card.metric == {"miou": 0.5, "split": "test", "step": 40}
    assert card.data == {"train": "ab", "val": "cd"}
    assert card.versions == {"dlcv": "1.2.3", "torch": "2.0"}
    assert card.checkpoint_sha256 == "digest"
    assert card.recipe is None
    assert card.config["data"]["crop"] is None


def test_a_card_without_a_size_accepts_any_size() -> None:
    card = card_of(checkpoint_with(), "")
    assert (card.size, card.layout, card.binarise) == (None, "auto", False)


def test_a_card_is_equal_after_saving_and_loading(trained: Checkpoint) -> None:
    card = card_of(trained, "digest")
    assert SegmenterCard.read(card.to_metadata(), "x.onnx") == card
    assert card.metric["miou"] == trained["best"]["value"]
    assert card.data.keys() == {"train", "val"}


def test_the_card_has_the_recipe() -> None:
    checkpoint = checkpoint_with()
    checkpoint["config"]["recipe"] = "camvid"
    assert card_of(checkpoint, "").recipe == "camvid"


@pytest.mark.parametrize("task", ["fewshot", None])
def test_a_checkpoint_of_another_task_is_refused(task: str | None) -> None:
    checkpoint = checkpoint_with()
    checkpoint["config"]["task"] = task
    with pytest.raises(CheckpointError) as caught:
        card_of(checkpoint, "")
    assert caught.value.message == f"the checkpoint holds task {task!r}, not a segmenter"


def test_settings_of_another_version_are_refused_by_their_key() -> None:
    checkpoint = checkpoint_with()
    checkpoint["config"]["optim"]["rate"] = 1
    with pytest.raises(CheckpointError) as caught:
        settings_of(checkpoint)
    assert caught.value.message == (
        "the checkpoint's settings do not fit: unknown key 'optim.rate'"
    )


@pytest.mark.parametrize("classes", [None, {"names": []}, {"names": 5}])
def test_invalid_classes_are_refused_by_their_key(classes: Any) -> None:
    checkpoint = checkpoint_with()
    checkpoint["data"] = {} if classes is None else {"classes": classes}
    for use in (lambda: card_of(checkpoint, ""), lambda: load_segmenter(checkpoint)):
        with pytest.raises(CheckpointError, match=r"key 'data\.classes'"):
            use()


def test_a_segmenter_has_its_trained_weights_and_is_in_evaluation(trained: Checkpoint) -> None:
    segmenter = load_segmenter(trained)
    assert not any(part.training for part in segmenter.modules())
    weights = segmenter.state_dict()
    assert {f"network.{name}" for name in weights} == trained["task"].keys()
    assert all(torch.equal(trained["task"][f"network.{name}"], weights[name]) for name in weights)
    assert segmenter.stride == card_of(trained, "").stride


def test_other_weights_of_the_checkpoint_are_ignored(trained: Checkpoint) -> None:
    task = {**trained["task"], "teacher.weight": torch.ones(3)}
    load_segmenter({**trained, "task": task})


def test_weights_that_do_not_fit_are_refused(trained: Checkpoint) -> None:
    lost = dict(trained["task"])
    lost.popitem()
    other = copy.deepcopy(trained["config"])
    other["model"]["name"] = "deeplabv3plus_mobilenet_v2"
    more = {**trained["data"], "classes": PRESETS["camvid11"].as_dict()}
    lraspp, deeplab = "lraspp_mobilenet_v3_large", "deeplabv3plus_mobilenet_v2"
    for change, name in (
        ({"task": lost}, lraspp),
        ({"config": other}, deeplab),
        ({"data": more}, lraspp),
    ):
        with pytest.raises(CheckpointError) as caught:
            load_segmenter({**trained, **change})
        assert caught.value.message == f"the checkpoint's weights do not fit {name}"


CPU = torch.device("cpu")
CARD = SegmenterCard("seg", "synthetic", PRESETS["landcover7"], 8)
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 12, 20, 3)).astype(np.uint8)


class Echo(nn.Module):
    """Returns its input as the logits of three classes, and keeps it."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.seen = x
        self.grad = torch.is_grad_enabled()
        self.tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        return {"out": x}


def test_masks_equal_those_of_the_segmenter(trained_run: Path) -> None:
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


def test_read_only_and_strided_images_are_accepted() -> None:
    predictor = TorchPredictor(Segmenter(Echo(), 8), CARD, CPU)
    expected = predictor(IMAGES, (12, 20), StageClock())
    frozen = IMAGES.copy()
    frozen.setflags(write=False)
    apart = np.repeat(IMAGES, 2, axis=2)[:, :, ::2]
    assert not apart.flags["C_CONTIGUOUS"]
    for images in (frozen, apart):
        # Warnings of torch are errors here.
        assert np.array_equal(predictor(images, (12, 20), StageClock()), expected)


def test_the_clock_separates_copying_from_running() -> None:
    predictor = TorchPredictor(Segmenter(Echo(), 8), CARD, CPU)
    clock = StageClock()
    for _ in range(3):
        predictor(IMAGES, (12, 20), clock)
    assert clock.seconds.keys() == {"copy", "run"}


class Bad(nn.Module):
    """Returns logits with one value that is not finite, of a class that is not predicted."""

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
    """Allow TF32 during a test."""
    # monkeypatch cannot restore properties of a module.
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn]
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = True
    yield
    for backend, allowed in zip(backends, before, strict=True):
        backend.allow_tf32 = allowed


@pytest.mark.usefixtures("with_tf32")
def test_tf32_is_off_in_the_forward_call_only() -> None:
    network = Echo()
    predictor = TorchPredictor(Segmenter(network, 8), CARD, CPU)
    predictor(IMAGES, (12, 20), StageClock())
    assert network.tf32 == (False, False)
    assert torch.backends.cuda.matmul.allow_tf32 is True
    assert torch.backends.cudnn.allow_tf32 is True


def test_cuda_without_a_gpu_is_refused_and_auto_takes_the_cpu(
    trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError) as caught:
        TorchPredictor.load(find_model(trained_run), "cuda")
    assert caught.value.message == "--provider cuda was asked for, and PyTorch finds no GPU"
    assert "--provider cpu" in caught.value.hint
    assert TorchPredictor.load(find_model(trained_run), "auto").provider == "cpu"
