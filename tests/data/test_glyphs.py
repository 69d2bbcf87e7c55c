"""Synthetic characters: reproducible to the byte, in Omniglot's tree, each unlike the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dlcvcli.data.glyphs import Drawer, draw_alphabet, make_glyphs
from dlcvcli.data.image_classes import find_image_layout
from dlcvcli.errors import DataError, ExitStatus, UsageError


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*.png"))
    }


def _make(folder: Path, alphabets: int = 2, seed: int = 0, **more: int) -> dict[str, bytes]:
    numbers = {"characters": 3, "drawers": 2, **more}
    make_glyphs(folder, alphabets=alphabets, size=(28, 28), seed=seed, **numbers)
    return _files(folder)


def test_the_tree_is_omniglots(tmp_path: Path) -> None:
    files = _make(tmp_path)
    assert next(iter(files)) == "Alphabet_01/character01/0001_01.png"
    assert list(files)[-1] == "Alphabet_02/character03/0103_02.png"
    layout = find_image_layout(tmp_path)
    assert layout.name == "omniglot"
    assert [(one.name, one.group, len(one.files)) for one in layout.splits["all"]][3] == (
        *("Alphabet_02/character01", "Alphabet_02", 2),
    )  # fmt: skip


def test_images_are_black_on_white_of_the_requested_size(tmp_path: Path) -> None:
    make_glyphs(tmp_path, alphabets=1, characters=4, drawers=3, size=(40, 56))
    for path in tmp_path.rglob("*.png"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "L", (56, 40))
            pixels = np.asarray(image)
        assert pixels.min() < 40
        assert np.median(pixels) == 255
        assert 0.01 < (pixels < 128).mean() < 0.4


def test_same_seed_same_bytes_and_other_seed_differs(tmp_path: Path) -> None:
    first = _make(tmp_path / "a", seed=3)
    assert _make(tmp_path / "b", seed=3) == first
    other = _make(tmp_path / "c", seed=4)
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first)
    assert len(set(first.values())) == len(first)


def test_more_characters_do_not_change_the_first_ones(tmp_path: Path) -> None:
    few = _make(tmp_path / "few", alphabets=1)
    many = _make(tmp_path / "many", alphabets=2, characters=5, drawers=4)
    assert few.items() <= many.items()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_character_fits_its_box_and_leaves_ink(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (strokes,) = draw_alphabet(rng, 1)
    points = np.concatenate(strokes)
    assert np.abs(points).max() <= 0.5 + 1e-9
    assert (np.ptp(points, axis=0) > 0.9).any()
    image = Drawer(rng).draw(rng, strokes, (16, 24))
    assert image.dtype == np.uint8
    assert image.shape == (16, 24)
    assert (image < 128).any()


def test_two_drawers_draw_one_character_more_alike_than_two_characters() -> None:
    # A baseline on pixels, which a network has to exceed, and can.
    near, far = [], []
    for alphabet in range(6):
        rng = np.random.default_rng([9, alphabet])
        drawers = [Drawer(rng), Drawer(rng)]
        drawn = np.array(
            [
                [drawer.draw(rng, strokes, (28, 28)) for drawer in drawers]
                for strokes in draw_alphabet(rng, 8)
            ],
            np.float64,
        ).reshape(8, 2, -1)
        apart = np.square(drawn[:, None, 0] - drawn[None, :, 1]).mean(-1)
        near.append(np.diag(apart))
        far.append(apart[~np.eye(8, dtype=bool)])
    nearest, others = np.concatenate(near), np.concatenate(far)
    assert nearest.mean() < 0.9 * others.mean()
    # And yet no pixel tells: some other character is often nearer.
    assert nearest.mean() > 0.3 * others.mean()


def test_progress_counts_images(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    note: Callable[[int, int], None] = lambda done, total: calls.append((done, total))  # noqa: E731
    make_glyphs(tmp_path, alphabets=1, characters=2, drawers=2, size=(16, 16), progress=note)
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_folder_with_files_is_refused_and_unchanged(tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(b"mine")
    with pytest.raises(DataError, match="is not empty"):
        make_glyphs(tmp_path, alphabets=1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.png"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": (15, 40)}, "15x40"),
        ({"alphabets": 0}, "0 alphabets"),
        ({"drawers": -1}, "-1 drawers"),
        ({"seed": -1}, "seed -1"),
    ],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, wrong: dict[str, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message) as error:
        make_glyphs(tmp_path / "set", **wrong)  # type: ignore[arg-type]
    assert error.value.status == ExitStatus.USAGE
    assert not (tmp_path / "set").exists()
