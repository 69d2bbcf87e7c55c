"""Single images are predicted at each model's size, scored and ranked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dlcvcli.data.reading import Pixels
from dlcvcli.data.segmentation import open_split
from dlcvcli.palette import PRESETS, Mask
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.examples import image_miou, predict_examples, rank_images
from tests.tasks.segmentation.pointwise import Pointwise


class Constant(Pointwise):
    """Predicts one class everywhere."""

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        self.seen.append(images.shape)
        return np.full((len(images), *size), 1, dtype=np.uint8)


def test_each_model_gets_images_of_its_input_size(landcover: Path) -> None:
    data = open_split(landcover, "val")
    own, sized = Constant(), Constant(size=(32, 48))
    examples = list(predict_examples({"own": own, "sized": sized}, data, [2, 0]))
    assert [example.name for example in examples] == ["0002", "0000"]
    assert own.seen[0] == (1, 64, 64, 3)
    assert sized.seen[0] == (1, 32, 48, 3)
    for example in examples:
        assert {mask.shape for mask in example.masks.values()} == {example.ground_truth.shape}
        assert example.scores["own"] == example.scores["sized"]


def test_images_are_ranked_from_the_worst_to_the_best(landcover: Path) -> None:
    data = open_split(landcover, "train")
    ranked = rank_images(Constant(), data)
    scores = [
        image_miou(data.read(index).mask, np.full((64, 64), 1, dtype=np.uint8), data.classes)
        for index in ranked
    ]
    assert scores == sorted(score for score in scores if score is not None)
    assert sorted(ranked) == list(range(12))


def test_an_image_without_a_label_has_no_score() -> None:
    nothing = np.full((4, 4), 255, dtype=np.uint8)
    assert image_miou(nothing, np.zeros_like(nothing), PRESETS["landcover7"]) is None
    half = np.array([[0, 0, 1, 255]], dtype=np.uint8)
    prediction = np.array([[0, 0, 0, 3]], dtype=np.uint8)
    assert image_miou(half, prediction, PRESETS["landcover7"]) == pytest.approx((2 / 3 + 0) / 2)
