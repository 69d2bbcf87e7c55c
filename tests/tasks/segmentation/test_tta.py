"""Test-time augmentation averages the probabilities over scales and horizontal flips."""

from __future__ import annotations

import numpy as np
import pytest

from dlcvcli.data.reading import Pixels
from dlcvcli.errors import UsageError
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.predictor import Logits
from dlcvcli.tasks.segmentation.tta import Augmented, softmax
from tests.tasks.segmentation.pointwise import Pointwise, pictures


class Lopsided(Pointwise):
    """Adds to the first class from left to right, so that a flipped image differs."""

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        logits = super().logits(images, size, clock)
        logits[:, 0] += np.linspace(0, 8, size[1], dtype=np.float32)
        return logits


def test_tta_does_not_change_a_pointwise_network() -> None:
    images = pictures(2, 10, 14)
    augmented = Augmented(Pointwise(), (1.0,), flip=True)
    expected = softmax(Pointwise().logits(images, (10, 14), StageClock()))
    got = softmax(augmented.logits(images, (10, 14), StageClock()))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_tta_averages_the_probabilities_of_an_image_and_its_flip() -> None:
    images = pictures(1, 6, 8)
    inner, clock = Lopsided(), StageClock()
    flipped = inner.logits(np.ascontiguousarray(images[:, :, ::-1]), (6, 8), clock)[..., ::-1]
    wanted = (softmax(inner.logits(images, (6, 8), clock)) + softmax(flipped)) / 2
    got = Augmented(Lopsided(), (1.0,), flip=True).logits(images, (6, 8), clock)
    np.testing.assert_allclose(np.exp(got), wanted, atol=1e-6)
    # A flipped image gives the flipped result.
    other = Augmented(Lopsided(), (1.0,)).logits(
        np.ascontiguousarray(images[:, :, ::-1]), (6, 8), clock
    )
    np.testing.assert_allclose(other[..., ::-1], got, atol=1e-5)


def test_every_scale_is_predicted_with_and_without_a_flip() -> None:
    inner = Pointwise()
    masks = Augmented(inner)(pictures(1, 20, 40), (20, 40), StageClock())
    assert masks.shape == (1, 20, 40)
    assert [shape[1:3] for shape in inner.seen] == [
        *[(15, 30)] * 2,
        *[(20, 40)] * 2,
        *[(25, 50)] * 2,
    ]


@pytest.mark.parametrize("scales", [(), (0.0,), (1.0, -1.0), (float("nan"),), (1e9,)])
def test_invalid_scales_are_refused(scales: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match=r"from 0\.1 to 4\.0"):
        Augmented(Pointwise(), scales)


def test_certain_predictions_stay_finite() -> None:
    images = np.zeros((1, 4, 4, 3), dtype=np.uint8)
    images[..., 0] = 255

    class Certain(Pointwise):
        def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
            return super().logits(images, size, clock) * 1000

    assert np.isfinite(Augmented(Certain()).logits(images, (4, 4), StageClock())).all()
