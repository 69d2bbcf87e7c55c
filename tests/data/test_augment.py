"""Augmentation: the shape, the same change of image and mask, draws from one generator."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dlcvcli.config.schema import AugmentSettings
from dlcvcli.data.augment import SegmentationAugment, Window, cut_window, draw_window
from dlcvcli.data.normalise import MEAN_COLOUR

SIDE = st.integers(1, 40)
# Torch 2.15 fails to resize, with antialiasing, to a single pixel.
CROP_SIDE = st.integers(2, 40)
SEED = st.integers(0, 2**32 - 1)
NOTHING = AugmentSettings(scale=(1, 1), flip=0, brightness=0, contrast=0, saturation=0)
ALL = AugmentSettings(scale=(0.5, 2), flip=0.5, hue=0.1)


def _sample(height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (3, height, width)).astype(np.uint8)
    mask = rng.choice(np.array([1, 4, 6], dtype=np.uint8), (height, width))
    return torch.from_numpy(image), torch.from_numpy(mask)


def _augment(
    settings_: AugmentSettings, crop: tuple[int, int], image: Tensor, mask: Tensor, seed: int = 0
) -> tuple[Tensor, Tensor]:
    change = SegmentationAugment(settings_, crop, MEAN_COLOUR, 255)
    return change(np.random.default_rng(seed), image, mask)


def _squares() -> tuple[Tensor, Tensor]:
    """Patches of three colours on grey, each with its own id."""
    image = torch.full((3, 48, 64), 90, dtype=torch.uint8)
    mask = torch.zeros((48, 64), dtype=torch.uint8)
    for index, (top, left) in enumerate([(4, 6), (20, 30), (28, 50)], 1):
        image[:, top : top + 12, left : left + 12] = 0
        image[index - 1, top : top + 12, left : left + 12] = 255
        mask[top : top + 12, left : left + 12] = index
    return image, mask


def _ids_by_colour(image: Tensor) -> Tensor:
    """Read the ids off the colours of `_squares`."""
    strongest, channel = image.int().max(dim=0)
    others = image.int().sum(dim=0) - strongest
    return torch.where(strongest > others + 30, channel + 1, 0).to(torch.uint8)


# -- shapes and ids ------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(SIDE, SIDE, CROP_SIDE, CROP_SIDE, SEED)
def test_the_result_has_the_shape_of_the_crop_for_any_image(
    height: int, width: int, crop_height: int, crop_width: int, seed: int
) -> None:
    image, mask = _sample(height, width)
    got, ids = _augment(ALL, (crop_height, crop_width), image, mask, seed)
    assert (got.dtype, ids.dtype) == (torch.uint8, torch.uint8)
    assert got.shape == (3, crop_height, crop_width)
    assert ids.shape == (crop_height, crop_width)
    assert {*ids.unique().tolist()} <= {*mask.unique().tolist(), 255}


@settings(deadline=None, max_examples=40)
@given(SIDE, SIDE, SEED)
def test_augmenting_does_not_change_its_input(height: int, width: int, seed: int) -> None:
    image, mask = _sample(height, width)
    kept = image.clone(), mask.clone()
    _augment(ALL, (9, 11), image, mask, seed)
    assert torch.equal(image, kept[0])
    assert torch.equal(mask, kept[1])


@settings(deadline=None, max_examples=40)
@given(SIDE, SIDE, SEED)
def test_without_changes_the_image_is_returned(height: int, width: int, seed: int) -> None:
    image, mask = _sample(height, width)
    got, ids = _augment(NOTHING, (height, width), image, mask, seed)
    assert torch.equal(got, image)
    assert torch.equal(ids, mask)


@settings(deadline=None, max_examples=40)
@given(SIDE, SIDE, SEED)
def test_a_certain_flip_flips_image_and_mask(height: int, width: int, seed: int) -> None:
    image, mask = _sample(height, width)
    flip = NOTHING.model_copy(update={"flip": 1.0})
    got, ids = _augment(flip, (height, width), image, mask, seed)
    assert torch.equal(got, image.flip(-1))
    assert torch.equal(ids, mask.flip(-1))


def test_a_flip_happens_with_its_probability() -> None:
    image, mask = _sample(3, 5)
    change = SegmentationAugment(
        NOTHING.model_copy(update={"flip": 0.25}), (3, 5), MEAN_COLOUR, 255
    )
    rng = np.random.default_rng(0)
    flips = sum(not torch.equal(change(rng, image, mask)[1], mask) for _ in range(800))
    assert 150 < flips < 250


# -- image and mask in step ----------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(SEED, st.sampled_from([(48, 64), (30, 30), (70, 90), (20, 80)]))
def test_a_crop_shows_the_same_pixels_of_image_and_mask(seed: int, crop: tuple[int, int]) -> None:
    flips = NOTHING.model_copy(update={"flip": 0.5})
    got, ids = _augment(flips, crop, *_squares(), seed)
    inside = ids != 255
    assert torch.equal(_ids_by_colour(got)[inside], ids[inside])
    # Beyond the image lies the colour that normalises to zero.
    assert torch.equal(
        got[:, ~inside],
        torch.tensor(MEAN_COLOUR, dtype=torch.uint8)[:, None].expand_as(got[:, ~inside]),
    )


@settings(deadline=None, max_examples=40)
@given(SEED, st.sampled_from([(48, 64), (30, 30), (60, 50)]))
def test_scaling_keeps_the_mask_on_the_image(seed: int, crop: tuple[int, int]) -> None:
    change = NOTHING.model_copy(update={"scale": (0.6, 2.0), "flip": 0.5})
    got, ids = _augment(change, crop, *_squares(), seed)
    seen = _ids_by_colour(got)
    # The image is smoothed and the mask is not: along edges they may differ, by one pixel at most.
    # So a pixel whose complete neighbourhood has one id must have that id's colour.
    around = ids.float()[None, None]
    most = torch.nn.functional.max_pool2d(around, 3, 1, 1)[0, 0]
    least = -torch.nn.functional.max_pool2d(-around, 3, 1, 1)[0, 0]
    sure = (most == least) & (ids != 255)
    assert torch.equal(seen[sure], ids[sure])


def test_scaling_moves_a_patch_to_the_expected_place() -> None:
    # A crop of the image's own size at scale 2 shows half of it, twice as large.
    image, mask = _squares()
    change = NOTHING.model_copy(update={"scale": (2.0, 2.0)})
    got, ids = _augment(change, (48, 64), image, mask, seed=4)
    window = draw_window(np.random.default_rng(4), (48, 64), (48, 64), (2.0, 2.0))
    assert (window.height, window.width) == (24, 32)
    part = mask[window.top : window.top + 24, window.left : window.left + 32]
    assert torch.equal(ids, part.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert (_ids_by_colour(got) == ids).float().mean() > 0.95


# -- windows -------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=100)
@given(SIDE, SIDE, CROP_SIDE, CROP_SIDE, SEED)
def test_a_window_covers_the_image_or_lies_inside_it(
    height: int, width: int, crop_height: int, crop_width: int, seed: int
) -> None:
    window = draw_window(
        np.random.default_rng(seed), (height, width), (crop_height, crop_width), (0.5, 2)
    )
    for start, length, side, crop in (
        (window.top, window.height, height, crop_height),
        (window.left, window.width, width, crop_width),
    ):
        assert max(1, round(crop / 2)) <= length <= 2 * crop
        assert min(0, side - length) <= start <= max(0, side - length)


def test_every_position_of_a_window_is_drawn() -> None:
    rng = np.random.default_rng(0)
    tops = {draw_window(rng, (5, 5), (3, 8), (1, 1)).top for _ in range(200)}
    lefts = {draw_window(rng, (5, 5), (3, 8), (1, 1)).left for _ in range(200)}
    assert (tops, lefts) == ({0, 1, 2}, {-3, -2, -1, 0})


def test_the_scale_is_drawn_evenly_on_a_log_axis() -> None:
    rng = np.random.default_rng(0)
    sides = [draw_window(rng, (5, 5), (1000, 1000), (0.5, 2)).height for _ in range(600)]
    assert 250 < sum(side > 1000 for side in sides) < 350
    assert min(sides) < 520
    assert max(sides) > 1900


def test_a_window_beyond_the_image_is_filled_per_channel() -> None:
    image, _ = _sample(4, 5)
    window = Window(-1, 2, 7, 6)
    got = cut_window(image, window, torch.tensor([7, 8, 9], dtype=torch.uint8))
    wanted = torch.tensor([7, 8, 9], dtype=torch.uint8).view(3, 1, 1).repeat(1, 7, 6)
    wanted[:, 1:5, :3] = image[:, :, 2:]
    assert torch.equal(got, wanted)
    assert torch.equal(cut_window(image[:1], window, 7)[0], wanted[0])


# -- draws ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(SEED)
def test_the_same_generator_gives_the_same_result(seed: int) -> None:
    image, mask = _sample(20, 30)
    first = _augment(ALL, (16, 16), image, mask, seed)
    torch.rand(3)
    again = _augment(ALL, (16, 16), image, mask, seed)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])


def test_other_generators_give_other_results() -> None:
    image, mask = _sample(20, 30)
    results = {_augment(ALL, (16, 16), image, mask, seed)[0].numpy().tobytes() for seed in range(8)}
    assert len(results) == 8


def test_no_global_random_state_is_touched_or_read() -> None:
    image, mask = _sample(20, 30)
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    _augment(ALL, (16, 16), image, mask)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]
    assert all(np.array_equal(one, other) for one, other in zip(before[2], after[2], strict=True))


@pytest.mark.parametrize("change", ["brightness", "contrast", "saturation", "hue"])
def test_colour_changes_move_no_pixel(change: str) -> None:
    image, mask = _sample(20, 30)
    plain, ids = _augment(NOTHING, (16, 16), image, mask)
    got, same_ids = _augment(NOTHING.model_copy(update={change: 0.4}), (16, 16), image, mask)
    assert torch.equal(ids, same_ids)
    assert not torch.equal(got, plain)


def test_switching_one_change_off_leaves_the_draws_of_the_others() -> None:
    image, mask = _sample(20, 30)
    rngs = [np.random.default_rng(0) for _ in range(3)]
    for rng, settings_ in zip(rngs, (ALL, NOTHING, AugmentSettings()), strict=True):
        SegmentationAugment(settings_, (16, 16), MEAN_COLOUR, 255)(rng, image, mask)
    # Their next draw is the same, after equally many draws.
    assert len({rng.random() for rng in rngs}) == 1
