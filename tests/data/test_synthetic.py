"""The synthetic land-cover set: reproducible to the byte, exact masks, every class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dlcvcli.data import synthetic
from dlcvcli.data.synthetic import landcover_tile, make_landcover
from dlcvcli.data.synthetic_scene import Scene
from dlcvcli.errors import DataError, ExitStatus, UsageError
from dlcvcli.palette import PRESETS, decode_colours

SIDES = st.integers(64, 150)


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _make(folder: Path, train: int = 3, validation: int = 2, seed: int = 0) -> dict[str, bytes]:
    make_landcover(folder, train=train, validation=validation, size=(64, 80), seed=seed)
    return _files(folder)


@pytest.fixture(scope="module")
def tiles() -> list[tuple[synthetic.Bytes, synthetic.Bytes]]:
    return [landcover_tile(np.random.default_rng([1, i]), (128, 128)) for i in range(64)]


def test_ids_are_those_of_the_preset() -> None:
    names = PRESETS["landcover7"].names
    assert [getattr(synthetic, name.upper()) for name in names] == list(range(7))


def test_layout_and_names(tmp_path: Path) -> None:
    numbers = {"train": 3, "validation": 2}
    assert set(_make(tmp_path / "set")) == {
        f"{split}/{index:04d}_{kind}"
        for split, count in numbers.items()
        for index in range(count)
        for kind in ("sat.jpg", "mask.png")
    }


def test_files_are_rgb_of_the_requested_size_in_table_colours(tmp_path: Path) -> None:
    make_landcover(tmp_path, train=7, validation=0, size=(70, 101))
    seen: set[int] = set()
    for number in range(7):
        with Image.open(tmp_path / f"train/{number:04d}_sat.jpg") as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (101, 70))
        with Image.open(tmp_path / f"train/{number:04d}_mask.png") as mask:
            assert (mask.format, mask.mode, mask.size) == ("PNG", "RGB", (101, 70))
            ids = decode_colours(np.asarray(mask), PRESETS["landcover7"])
        # The leading class goes round, so that even a small set has every class.
        assert number in ids
        seen |= set(np.unique(ids).tolist())
    assert seen == set(range(7))


def test_same_seed_same_bytes_and_other_seed_differs(tmp_path: Path) -> None:
    first = _make(tmp_path / "a", seed=3)
    assert _make(tmp_path / "b", seed=3) == first
    other = _make(tmp_path / "c", seed=4)
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first)


def test_splits_share_no_tile(tmp_path: Path) -> None:
    files = _make(tmp_path / "set")
    assert len(set(files.values())) == len(files)


def test_the_first_tiles_do_not_depend_on_their_number(tmp_path: Path) -> None:
    few = _make(tmp_path / "few", train=2, validation=1)
    many = _make(tmp_path / "many", train=5, validation=3)
    assert few.items() <= many.items()


def test_progress_counts_over_both_splits(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    note: Callable[[int, int], None] = lambda done, total: calls.append((done, total))  # noqa: E731
    make_landcover(tmp_path, train=2, validation=1, size=(64, 64), progress=note)
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_a_folder_with_files_is_refused_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation/0000_sat.jpg").write_bytes(b"mine")
    with pytest.raises(DataError, match="is not empty") as error:
        make_landcover(tmp_path, train=1, validation=1, size=(64, 64))
    assert error.value.hint
    assert _files(tmp_path) == {"validation/0000_sat.jpg": b"mine"}


@pytest.mark.parametrize("size", [(63, 64), (64, 63), (0, 512)])
def test_a_tile_that_is_too_small_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=f"{size[0]}x{size[1]}") as error:
        make_landcover(tmp_path / "set", size=size)
    assert error.value.status == ExitStatus.USAGE
    assert not (tmp_path / "set").exists()
    with pytest.raises(UsageError):
        landcover_tile(np.random.default_rng(0), size)


@pytest.mark.parametrize("option", ["train", "validation", "seed"])
def test_negative_numbers_are_refused(tmp_path: Path, option: str) -> None:
    with pytest.raises(UsageError, match=f"{option} -1"):
        _make(tmp_path / "set", **{option: -1})


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), height=SIDES, width=SIDES, lead=st.integers(0, 6))
def test_any_tile_is_valid_and_holds_its_leading_class(
    seed: int, height: int, width: int, lead: int
) -> None:
    image, mask = landcover_tile(np.random.default_rng(seed), (height, width), lead=lead)
    assert image.shape == (height, width, 3)
    assert mask.shape == (height, width)
    assert image.dtype == mask.dtype == np.uint8
    assert mask.max() <= 6
    assert (mask == lead).any()
    again = landcover_tile(np.random.default_rng(seed), (height, width), lead=lead)
    assert np.array_equal(image, again[0])
    assert np.array_equal(mask, again[1])


@pytest.mark.parametrize("size", [(64, 640), (640, 64), (65, 129), (512, 512)])
def test_long_odd_and_large_tiles(size: tuple[int, int]) -> None:
    image, mask = landcover_tile(np.random.default_rng(2), size)
    assert image.shape == (*size, 3)
    assert mask.shape == size
    assert len(np.unique(mask)) >= 3


def test_every_class_occurs_but_not_in_every_tile(
    tiles: list[tuple[synthetic.Bytes, synthetic.Bytes]],
) -> None:
    fractions = np.mean(
        [np.bincount(mask.ravel(), minlength=7) / mask.size for _, mask in tiles], 0
    )
    assert fractions[:6].min() > 0.04
    assert 0 < fractions[6] < 0.08
    counts = [len(np.unique(mask)) for _, mask in tiles]
    assert max(counts) > min(counts)
    assert min(counts) < 6


def test_image_and_mask_agree(tiles: list[tuple[synthetic.Bytes, synthetic.Bytes]]) -> None:
    grey = np.concatenate([image.mean(-1).ravel() for image, _ in tiles])
    green = np.concatenate(
        [image[..., 1].ravel() - image[..., 0].astype(np.float64).ravel() for image, _ in tiles]
    )
    ids = np.concatenate([mask.ravel() for _, mask in tiles])
    light = [grey[ids == label].mean() for label in range(6)]
    spread = [grey[ids == label].std() for label in range(6)]
    assert light[synthetic.WATER] + 50 < light[synthetic.BARREN]
    assert light[synthetic.FOREST] < light[synthetic.RANGELAND] < light[synthetic.BARREN]
    assert green[ids == synthetic.FOREST].mean() > green[ids == synthetic.BARREN].mean() + 10
    assert spread[synthetic.URBAN] > spread[synthetic.WATER]


def test_texture_is_rough_in_towns_and_woods_and_smooth_on_water() -> None:
    rough: dict[int, list[float]] = {label: [] for label in range(6)}
    for number in range(18):
        label = number % 6
        image, mask = landcover_tile(np.random.default_rng(number), (192, 192), lead=label)
        step = np.abs(np.diff(image.mean(-1), axis=1))
        inside = (mask[:, 1:] == label) & (mask[:, :-1] == label)
        rough[label].append(float(step[inside].mean()))
    mean = {label: np.mean(values) for label, values in rough.items()}
    for label in (synthetic.URBAN, synthetic.FOREST, synthetic.BARREN):
        assert mean[label] > 1.5 * mean[synthetic.WATER]


@pytest.mark.parametrize("side", [64, 128, 512])
def test_roads_are_thin_and_change_image_and_mask_together(side: int) -> None:
    for seed in range(6):
        scene = Scene(np.random.default_rng(seed), (side, side))
        mask = np.full(side * side, synthetic.BARREN, np.uint8)
        paint = np.full((side * side, 3), 250, np.float32)
        synthetic._add_roads(scene, mask, paint)
        road = mask == synthetic.URBAN
        # One to three roads; each at most four pixels wide at 512, and none lost in between.
        assert 0.5 * side < road.sum() < 3 * 2 * side * max(4 * scene.fine, 1.5)
        assert (paint[road] < 240).all()
        far = mask.reshape(side, side)[::8, ::8] == synthetic.BARREN
        assert far.mean() > 0.5


@pytest.mark.parametrize("side", [64, 128, 512])
def test_ponds_are_small_and_labelled(side: int) -> None:
    for seed in range(10):
        scene = Scene(np.random.default_rng(seed), (side, side))
        mask = np.full(side * side, synthetic.BARREN, np.uint8)
        synthetic._add_ponds(scene, mask)
        area = int((mask == synthetic.WATER).sum())
        assert 0 < area <= 6 * np.pi * (10 * scene.fine * 1.12 + 1) ** 2
