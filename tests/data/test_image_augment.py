"""Random augmentation of images by class: a function of the generator, within its limits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.config.schema import ImageAugmentSettings
from dlcvcli.data.image_augment import ImageAugment, draw_crop
from dlcvcli.data.normalise import MEAN_COLOUR

OFF = {
    "scale": (1.0, 1.0),
    "flip": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "saturation": 0.0,
}
PHOTO = torch.randint(0, 256, (3, 20, 30), generator=torch.Generator().manual_seed(0)).byte()


def augmented(seed: int, size: tuple[int, int] = (20, 30), **changes: object) -> torch.Tensor:
    settings = ImageAugmentSettings.model_validate({**OFF, **changes})
    image, mask = ImageAugment(settings, size)(np.random.default_rng(seed), PHOTO, None)
    assert mask is None
    assert (image.dtype, image.shape) == (torch.uint8, (3, *size))
    return image


def test_everything_off_changes_nothing() -> None:
    assert torch.equal(augmented(0), PHOTO)


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": (0.5, 1.0)},
        {"pad": 4},
        {"flip": 0.5},
        {"brightness": 0.5},
        {"grey": 0.5},
        {"erase": 0.5},
        {"randaugment": 2},
    ],
)
def test_each_change_follows_the_generator_alone(changes: dict[str, object]) -> None:
    torch.manual_seed(0)
    first = [augmented(seed, **changes) for seed in range(8)]
    state = torch.random.get_rng_state()
    torch.manual_seed(5)
    again = [augmented(seed, **changes) for seed in range(8)]
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert any(not torch.equal(one, PHOTO) for one in first)
    # Training draws from the global generator, which must not move.
    torch.manual_seed(0)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_probabilities_are_those_of_the_settings() -> None:
    flips = [torch.equal(augmented(seed, flip=0.3), PHOTO.flip(-1)) for seed in range(600)]
    assert np.mean(flips) == pytest.approx(0.3, abs=0.06)
    greys = []
    for seed in range(600):
        image = augmented(seed, grey=0.2)
        greys.append(bool((image[0] == image[1]).all()))
    assert np.mean(greys) == pytest.approx(0.2, abs=0.05)


def test_a_padded_crop_is_the_image_moved_over_the_mean_colour() -> None:
    fill = torch.tensor(MEAN_COLOUR, dtype=torch.uint8).view(3, 1, 1)
    padded = fill.expand(3, 28, 38).clone()
    padded[:, 4:24, 4:34] = PHOTO
    windows = [padded[:, y : y + 20, x : x + 30] for y in range(9) for x in range(9)]
    for seed in range(20):
        image = augmented(seed, pad=4)
        assert any(torch.equal(image, window) for window in windows)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 60),
    st.integers(1, 60),
    st.floats(0.1, 1.0),
    st.floats(1.0, 3.0),
)
def test_crops_are_inside_the_image_and_have_the_area(
    seed: int, height: int, width: int, least: float, ratio: float
) -> None:
    rng = np.random.default_rng(seed)
    window = draw_crop(rng, (height, width), (least, 1.0), (1 / ratio, ratio))
    assert 0 <= window.top <= height - window.height
    assert 0 <= window.left <= width - window.width
    area = window.height * window.width
    # Sides are rounded to whole pixels.
    assert area >= (least * height * width) ** 0.5 * 0.25
    assert area <= height * width


def test_turning_one_change_off_leaves_the_others_as_they_are() -> None:
    white = torch.full((3, 20, 30), 255, dtype=torch.uint8)
    white[:, :, :15] = 200

    def erased_and_flipped(seed: int, **changes: object) -> torch.Tensor:
        settings = ImageAugmentSettings.model_validate(
            {**OFF, "flip": 0.5, "erase": 0.9, **changes}
        )
        image, _ = ImageAugment(settings, (20, 30))(np.random.default_rng(seed), white, None)
        return image == torch.tensor(MEAN_COLOUR).view(3, 1, 1)

    for seed in range(30):
        before = erased_and_flipped(seed)
        for changes in ({"scale": (0.3, 1.0)}, {"grey": 1.0}, {"brightness": 0.1}, {"hue": 0.5}):
            assert torch.equal(erased_and_flipped(seed, **changes), before)


def test_erased_rectangles_have_the_published_areas() -> None:
    areas = []
    for seed in range(600):
        changed = (augmented(seed, erase=0.5) != PHOTO).any(0)
        areas.append(float(changed.float().mean()))
        if changed.any():
            rows, columns = changed.any(1).nonzero(), changed.any(0).nonzero()
            box = (rows.max() - rows.min() + 1) * (columns.max() - columns.min() + 1)
            # A pixel of the photograph may have the mean colour by chance.
            assert changed.sum() >= 0.95 * box
    erased = np.array([area for area in areas if area])
    assert len(erased) / len(areas) == pytest.approx(0.5, abs=0.07)
    # Uniform between 0.02 and 0.33 of the image; sides are rounded to whole pixels.
    assert erased.mean() == pytest.approx(0.175, abs=0.02)
    assert 0.01 <= erased.min() < 0.05
    assert 0.3 < erased.max() <= 0.36


def test_crops_have_areas_and_shapes_from_their_ranges() -> None:
    windows = [
        draw_crop(np.random.default_rng(seed), (200, 300), (0.2, 0.6), (0.5, 2.0))
        for seed in range(1000)
    ]
    areas = np.array([window.height * window.width / 60_000 for window in windows])
    assert (areas.min(), areas.max()) == (
        pytest.approx(0.2, abs=0.01),
        pytest.approx(0.6, abs=0.01),
    )
    assert areas.mean() == pytest.approx(0.4, abs=0.015)
    shapes = np.log([window.width / 300 * 200 / window.height for window in windows])
    assert shapes.mean() == pytest.approx(0, abs=0.06)
    # Every place is as likely as any other.
    places = [window.top / max(1, 200 - window.height) for window in windows]
    assert np.mean(places) == pytest.approx(0.5, abs=0.04)


def test_more_magnitude_changes_more() -> None:
    changes = [
        np.mean(
            [
                float(
                    (augmented(seed, randaugment=2, magnitude=m).int() - PHOTO).abs().float().mean()
                )
                for seed in range(60)
            ]
        )
        for m in (1, 25)
    ]
    assert 0 < changes[0] < 0.8 * changes[1]
