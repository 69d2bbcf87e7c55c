"""A checkpoint is loaded into its prototypical network and its card, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dlcvcli.config.load import resolve
from dlcvcli.engine.checkpoint import Checkpoint, load_checkpoint
from dlcvcli.errors import CheckpointError, DeviceError
from dlcvcli.files import sha256_of
from dlcvcli.models.conv4 import Conv4
from dlcvcli.models.distances import CosineDistance, ParametricDistance
from dlcvcli.models.protonet import ImageEncoder
from dlcvcli.prototypes import read_distance
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.fewshot.card import EncoderCard
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings
from dlcvcli.tasks.fewshot.torch import (
    TorchEncoder,
    build_protonet,
    card_of,
    class_splits_of,
    fewshot_settings_of,
    load_protonet,
)

DISTANCES = ("euclidean", "cosine", "parametric")


def checkpoint_with(*, average: bool = False, **flags: Any) -> Checkpoint:
    """Return a checkpoint with random weights; `__` in a flag replaces the dot."""
    torch.manual_seed(0)
    defaults = {
        "data.size": "16x32",
        "data.mean": [0.4, 0.5, 0.6],
        "data.std": [0.2, 0.3, 0.1],
        "model.options": {"channels": 4},
    }
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    settings = resolve(TrainFewshotSettings, flags={**defaults, **dotted})
    task = {f"network.{k}": v for k, v in build_protonet(settings).state_dict().items()}
    if average:
        task |= {f"average.{k[8:]}": v + 1 for k, v in list(task.items())}
    return {
        "task": task,
        "config": settings.model_dump(mode="json"),
        "best": {"metric": "accuracy", "value": 0.5, "step": 40},
        "data": {
            "classes": {"train": ["a", "b"], "val": ["c"]},
            "sha256": {"train": "ab", "val": "cd"},
        },
        "versions": {"dlcv": "1.2.3", "torch": "2.0"},
    }


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_card_describes_the_encoder_and_can_be_saved(distance: str) -> None:
    checkpoint = checkpoint_with(
        distance__name=distance, episode__k_shot=5, episode__test_n_way=20, data__rotations="train"
    )
    protonet = load_protonet(checkpoint)
    card = card_of(checkpoint, protonet, "digest")
    assert (card.task, card.model, card.dimension, card.size) == ("fewshot", "conv4", 8, (16, 32))
    assert (card.mean, card.std) == ((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))
    assert card.shape == (20, 5, 15)
    # Rotated classes are for training only.
    assert card.rotations is False
    assert card.classes == {"train": ["a", "b"], "val": ["c"]}
    assert card.metric == {"accuracy": 0.5, "split": "val", "step": 40}
    assert card.data == {"train": "ab", "val": "cd"}
    assert card.versions == {"dlcv": "1.2.3", "torch": "2.0"}
    assert (card.checkpoint_sha256, card.graph) == ("digest", "encoder")
    assert EncoderCard.read(card.to_metadata(), "x.onnx") == card


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_distance_of_the_card_equals_that_of_the_network(distance: str) -> None:
    checkpoint = checkpoint_with(distance__name=distance, distance__scale=7.5)
    protonet = load_protonet(checkpoint)
    assert not any(part.training for part in protonet.modules())
    spec = card_of(checkpoint, protonet, "").distance
    assert read_distance(spec).name == distance
    query, prototypes = torch.randn(6, 8), torch.randn(3, 8)
    with torch.inference_mode():
        expected = protonet.distance(query, prototypes).numpy()
    logits = read_distance(spec).logits(query.numpy(), prototypes.numpy())
    assert abs(logits - expected).max() < 1e-4


def test_learned_distances_are_restored_with_their_settings() -> None:
    cosine = load_protonet(checkpoint_with(distance__name="cosine", distance__scale=7.5)).distance
    assert isinstance(cosine, CosineDistance)
    assert float(cosine.log_scale.detach().exp()) == pytest.approx(7.5)
    other = {"distance__name": "parametric", "distance__hidden": 6, "distance__layers": 4}
    learned = load_protonet(checkpoint_with(**other)).distance
    assert isinstance(learned, ParametricDistance)
    assert learned.of_query.out_features == 6
    assert len(learned.rest) == 3


def test_the_moving_average_is_used_where_it_exists() -> None:
    plain, averaged = checkpoint_with(), checkpoint_with(average=True)
    name = "encoder.encoder.blocks.0.0.weight"
    own = load_protonet(plain).state_dict()[name]
    assert torch.equal(own, plain["task"][f"network.{name}"])
    assert torch.equal(load_protonet(averaged).state_dict()[name], own + 1)


@pytest.mark.parametrize("task", ["seg", None])
def test_a_checkpoint_of_another_task_is_refused(task: str | None) -> None:
    checkpoint = checkpoint_with()
    checkpoint["config"]["task"] = task
    with pytest.raises(CheckpointError) as caught:
        load_protonet(checkpoint)
    assert caught.value.message == f"the checkpoint holds task {task!r}, not a few-shot model"


def test_settings_of_another_version_are_refused_by_their_key() -> None:
    checkpoint = checkpoint_with()
    checkpoint["config"]["episode"]["n_ways"] = 5
    with pytest.raises(CheckpointError, match=r"do not fit: unknown key 'episode\.n_ways'"):
        fewshot_settings_of(checkpoint)


def test_a_missing_size_is_refused_by_its_key() -> None:
    checkpoint = checkpoint_with()
    checkpoint["config"]["data"]["size"] = None
    with pytest.raises(CheckpointError, match=r"do not fit: key 'data\.size' has no value"):
        load_protonet(checkpoint)


@pytest.mark.parametrize("classes", [None, ["a"], {"train": "ab"}, {"val": ["a"]}])
def test_a_checkpoint_without_its_training_classes_is_refused(classes: Any) -> None:
    checkpoint = checkpoint_with()
    checkpoint["data"] = {} if classes is None else {"classes": classes}
    with pytest.raises(CheckpointError, match=r"key 'data\.classes'"):
        class_splits_of(checkpoint)


def test_weights_that_do_not_fit_are_refused() -> None:
    checkpoint = checkpoint_with()
    lost = dict(checkpoint["task"])
    del lost["network.encoder.encoder.blocks.3.0.weight"]
    other = checkpoint_with(model__options={"channels": 5})["task"]
    cosine = checkpoint_with(distance__name="cosine")["task"]
    for task in (lost, other, cosine):
        with pytest.raises(CheckpointError, match="weights do not fit conv4"):
            load_protonet({**checkpoint, "task": task})


IMAGES = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype(np.uint8)
CARD = EncoderCard("fewshot", "conv4", 4, {"name": "euclidean"}, size=(16, 16))


def test_embeddings_equal_those_of_the_network(fewshot_run: Path) -> None:
    best = RunFolder(fewshot_run).best
    encoder = TorchEncoder.load(find_model(fewshot_run), "cpu")
    assert (encoder.backend, encoder.provider, encoder.precision) == ("torch", "cpu", "fp32")
    assert encoder.notes == {"device": "CPU"}
    assert encoder.card.checkpoint_sha256 == sha256_of(best)
    clock = StageClock()
    embeddings = encoder(IMAGES, clock)
    assert (embeddings.shape, embeddings.dtype) == ((4, encoder.card.dimension), np.float32)
    assert clock.seconds.keys() == {"copy", "run"}
    with torch.inference_mode():
        expected = load_protonet(load_checkpoint(best)).encoder(torch.from_numpy(IMAGES)).numpy()
    np.testing.assert_allclose(embeddings, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_a_network_in_training_is_put_into_evaluation() -> None:
    network = ImageEncoder(Conv4(channels=4)).train()
    TorchEncoder(network, CARD, torch.device("cpu"))
    assert not any(part.training for part in network.modules())


def test_read_only_and_strided_images_are_accepted() -> None:
    encoder = TorchEncoder(ImageEncoder(Conv4(channels=4)), CARD, torch.device("cpu"))
    expected = encoder(IMAGES, StageClock())
    frozen = IMAGES.copy()
    frozen.setflags(write=False)
    apart = np.repeat(IMAGES, 2, axis=2)[:, :, ::2]
    for images in (frozen, apart):
        # Warnings of torch are errors here.
        assert np.array_equal(encoder(images, StageClock()), expected)


def test_checkpoints_that_cannot_be_loaded_are_refused(
    fewshot_run: Path, trained_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match="holds task 'seg', not a few-shot model"):
        TorchEncoder.load(find_model(trained_run), "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="PyTorch finds no GPU"):
        TorchEncoder.load(find_model(fewshot_run), "cuda")
