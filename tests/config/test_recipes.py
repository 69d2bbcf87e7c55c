"""Every recipe is valid, and recipes of studies cite the reported scores."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import pytest

from dlcvcli.config.load import load_recipe, recipe_names, resolve, suggest_recipe
from dlcvcli.losses import build_loss
from dlcvcli.models.build import build_encoder
from dlcvcli.models.encoder import Encoder
from dlcvcli.models.freezing import freeze
from dlcvcli.models.profile import build_on_meta
from dlcvcli.tasks.classification.settings import TrainClsSettings
from dlcvcli.tasks.fewshot.data import EPOCH
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings
from dlcvcli.tasks.segmentation.settings import TrainSegSettings

OF_STUDIES = {
    "study1-fcn32s": "0.4153",
    "study1-deeplabv3-r101": "0.7472",
    "study1-transfer": "A 0.2562, B 0.4655, C 0.4828, D 0.2931, E 0.1256",
    "study2-fcn32s": "0.6581",
    "study2-deeplabv3-r50": "0.7413",
    "study2-transfer": "A 0.2438 (40), B 0.5172 (137), C 0.4483 (146), D 0.2241 (339), E 0.2980",
    "study3-protonet": "0.4695",
    "study3-transfer": "A 0.23, B 0.35, C 0.46, D 0.36, E 0.44",
    "study4-fcn32s": "0.676",
    "study4-fcn8s": "0.696",
    "study5-cross-entropy": "0.6055",
    "study5-exponential": "0.5937",
}
SHRUNK = {"model.weights": "none", "train.steps": 2, "train.batch_size": 2, "data.crop": "64x64"}


def _text(name: str) -> str:
    return (resources.files("dlcvcli.config") / "recipes" / f"{name}.yaml").read_text("utf-8")


def _of_task(task: str) -> list[str]:
    return [name for name in recipe_names() if load_recipe(name).get("task", "seg") == task]


SEG, CLS, FEWSHOT = (_of_task(task) for task in ("seg", "cls", "fewshot"))


@pytest.mark.parametrize("name", CLS)
def test_classification_recipe_is_valid_and_its_encoder_exists(name: str) -> None:
    settings = resolve(TrainClsSettings, recipe=name, flags={"train.steps": 2})
    assert settings.recipe == name
    assert settings.data.path == ""
    encoder = build_on_meta(settings.model.name, num_classes=7, options=settings.model.options)
    assert isinstance(encoder, Encoder)
    if settings.transfer.freeze is not None:
        freeze(encoder, settings.transfer.freeze)


@pytest.mark.parametrize("name", FEWSHOT)
def test_few_shot_recipe_is_valid_and_its_encoder_exists(name: str) -> None:
    settings = resolve(TrainFewshotSettings, recipe=name, flags={"train.steps": 2})
    assert settings.recipe == name
    assert settings.train.steps == 2
    assert settings.data.path == ""
    encoder = build_encoder(settings.model.name, **settings.model.options)
    assert encoder.dimension(settings.data.size or (84, 84)) > 0


@pytest.mark.parametrize("name", SEG)
def test_segmentation_recipe_is_valid_and_its_network_and_loss_exist(name: str) -> None:
    settings = resolve(TrainSegSettings, recipe=name)
    assert settings.recipe == name
    network = build_on_meta(settings.model.name, num_classes=7, options=settings.model.options)
    assert next(network.parameters()).is_meta
    build_loss(settings.loss.name, ignore_index=255, gamma=settings.loss.gamma)
    # A recipe names no images or folders: it must work with any data set.
    assert settings.snapshot.images == ()
    assert settings.data.path == ""


@pytest.mark.parametrize("name", SEG)
def test_flags_override_a_recipe(name: str) -> None:
    settings = resolve(TrainSegSettings, recipe=name, flags=SHRUNK)
    assert (settings.train.steps, settings.train.epochs) == (2, None)
    assert settings.data.crop == (64, 64)
    assert settings.model.weights == "none"


# The report has the epoch of the best score, and not the score.
WITHOUT_SCORE = {"study4-resnet50"}


def test_recipes_of_studies_are_complete() -> None:
    of_studies = {name for name in recipe_names() if name.startswith("study")}
    assert of_studies == OF_STUDIES.keys() | WITHOUT_SCORE


@pytest.mark.parametrize(("name", "reported"), OF_STUDIES.items())
def test_recipe_of_a_study_cites_the_reported_score_and_explains_its_settings(
    name: str, reported: str
) -> None:
    text = _text(name)
    head = " ".join(line.lstrip("# ") for line in text.partition("\ndata:")[0].splitlines())
    assert re.search(rf"^Study {name[5]} of .*Reported", head)
    score = "mIoU " if name in SEG else "accuracy " if name in FEWSHOT else ""
    assert f"{score}{reported}" in head
    settings = [line for line in text.splitlines() if re.match(r"\s+\w+: [^{]*$", line)]
    unexplained = [
        line for line in settings if "#" not in line and line.strip() != "class_weights: none"
    ]
    assert not unexplained


def test_recipe_has_the_settings_of_study_3() -> None:
    settings = resolve(TrainFewshotSettings, recipe="study3-protonet")
    assert (settings.model.name, settings.data.size) == ("conv4", (84, 84))
    assert (settings.episode.n_way, settings.episode.k_shot) == (5, 1)
    assert (settings.optim.name, settings.optim.lr) == ("adam", 1e-3)
    assert settings.distance.name == "euclidean"
    assert settings.train.steps == 300 * EPOCH


def test_recipes_have_the_settings_of_study_5() -> None:
    one = load_recipe("study5-cross-entropy")
    assert one["schedule"] == {"name": "step", "every": 1000, "gamma": 0.9}
    assert one["optim"]["backbone_lr_scale"] == 0.1
    assert (one["train"]["steps"], one["train"]["batch_size"]) == (5000, 8)
    other = load_recipe("study5-exponential")
    assert {key for key in one if one[key] != other[key]} == {"loss"}


@pytest.mark.parametrize(
    ("layout", "schema", "fits"),
    [
        ("camvid", TrainSegSettings, True),
        ("omniglot", TrainFewshotSettings, True),
        ("omniglot", TrainSegSettings, False),
        ("voc", TrainSegSettings, False),
    ],
)
def test_the_recipe_for_a_layout_is_suggested(layout: str, schema: Any, fits: bool) -> None:
    lines = suggest_recipe(schema(), layout)
    assert [f"add --recipe {layout}" in line for line in lines] == ([True] if fits else [])
    if fits:
        assert suggest_recipe(resolve(schema, recipe=layout), layout) == ()
