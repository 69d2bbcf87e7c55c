"""A checkpoint gives back its segmenter and says what it is, or why it cannot."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from dlcvcli.config.load import resolve
from dlcvcli.config.schema import TrainSegSettings
from dlcvcli.engine.checkpoint import Checkpoint, load_checkpoint
from dlcvcli.errors import CheckpointError
from dlcvcli.inference.restore import card_of, load_segmenter, settings_of
from dlcvcli.palette import PRESETS
from dlcvcli.runs import RunFolder
from dlcvcli.runtime.metadata import read_card


def checkpoint_with(**flags: Any) -> Checkpoint:
    """Return what a checkpoint holds beside its weights; `__` stands for the dot."""
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


def test_a_card_has_what_one_must_know_to_use_the_model() -> None:
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


def test_a_card_leaves_open_what_its_settings_left_open() -> None:
    card = card_of(checkpoint_with(), "")
    assert (card.size, card.layout, card.binarise) == (None, "auto", False)


def test_a_card_goes_into_a_file_and_comes_back(trained: Checkpoint) -> None:
    card = card_of(trained, "digest")
    assert read_card(card.to_metadata(), "x.onnx") == card
    assert card.metric["miou"] == trained["best"]["value"]
    assert card.data.keys() == {"train", "val"}


def test_the_recipe_is_kept() -> None:
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
def test_classes_that_are_none_are_refused_by_their_key(classes: Any) -> None:
    checkpoint = checkpoint_with()
    checkpoint["data"] = {} if classes is None else {"classes": classes}
    for use in (lambda: card_of(checkpoint, ""), lambda: load_segmenter(checkpoint)):
        with pytest.raises(CheckpointError, match=r"key 'data\.classes'"):
            use()


def test_a_segmenter_has_its_trained_weights_and_is_in_evaluation(trained: Checkpoint) -> None:
    segmenter = load_segmenter(trained)
    assert not any(part.training for part in segmenter.modules())
    weights = segmenter.state_dict()
    assert {f"segmenter.{name}" for name in weights} == trained["task"].keys()
    assert all(torch.equal(trained["task"][f"segmenter.{name}"], weights[name]) for name in weights)
    assert segmenter.stride == card_of(trained, "").stride


def test_weights_beside_the_segmenters_are_no_matter(trained: Checkpoint) -> None:
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
