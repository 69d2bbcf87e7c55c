"""Few-shot sets: images in memory within a limit, rotated images as classes of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.few_shot import FewShotSet, duplicate_remarks
from dlcvcli.data.image_classes import find_image_layout, image_split
from dlcvcli.data.reading import read_rgb, stretch
from dlcvcli.errors import DataError, DlcvError, UsageError

SIZE = (6, 6)
EACH = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five classes of three images of 9x7, no splits."""
    root = tmp_path_factory.mktemp("set")
    rng = np.random.default_rng(0)
    for name in "abcde":
        (root / name).mkdir()
        for number in range(EACH):
            pixels = rng.integers(0, 256, (9, 7, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    return root


def opened(root: Path, *, rotations: bool = False, limit: int = 1 << 20) -> FewShotSet:
    layout = find_image_layout(root)
    data = FewShotSet(image_split(layout, "all"), "all", root, SIZE, rotations=rotations)
    data.read(limit)
    return data


@pytest.mark.parametrize("kept", [0, 4, 15])
def test_a_limit_changes_no_pixel(root: Path, kept: int) -> None:
    data = opened(root, limit=kept * 3 * 36 + 50)
    assert data.kept == kept
    assert f"{kept} of 15 images decoded" in data.describe()
    indices = np.array([[14, 0, 3], [7, 7, 2]])
    images = data.images(indices)
    assert images.shape == (2, 3, *SIZE, 3)
    for place in np.ndindex(2, 3):
        wanted = stretch(read_rgb(data.files[indices[place]]), SIZE)
        assert np.array_equal(images[place], wanted)
    assert data.sha256 == opened(root).sha256
    # What images are normalised with is that of all of them, whatever is kept.
    assert data.colour() == opened(root).colour()


def test_rotated_images_are_classes_of_their_own(root: Path) -> None:
    plain, rotated = opened(root), opened(root, rotations=True, limit=5 * 3 * 36)
    assert plain.sizes == (EACH,) * 5
    assert rotated.sizes == (EACH,) * 20
    assert len(rotated) == 60
    for index in range(60):
        turns, own = divmod(index, 15)
        wanted = np.rot90(plain.images([own])[0], turns)
        assert np.array_equal(rotated.images([index])[0], wanted)
    assert rotated.name_of(2) == plain.name_of(2) == "a/2.png"
    assert rotated.name_of(17) == "a/2.png@90"
    assert rotated.class_of(17) == "a@90"
    assert rotated.class_of(44) == "e@180"


def test_the_colour_is_that_of_the_images(root: Path) -> None:
    data = opened(root)
    pixels = data.images(range(15)) / 255
    mean, std = data.colour()
    np.testing.assert_allclose(mean, pixels.mean((0, 1, 2)), atol=1e-4)
    np.testing.assert_allclose(std, pixels.std((0, 1, 2)), atol=1e-4)


def test_the_fingerprint_follows_every_byte_and_name(root: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    assert opened(copy).sha256 == opened(root).sha256
    (copy / "a" / "0.png").rename(copy / "a" / "9.png")
    assert opened(copy).sha256 != opened(root).sha256
    (copy / "a" / "9.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="not an image"):
        opened(copy)


def test_more_memory_than_free_is_refused_or_not_used(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlcvcli.data.few_shot.free_memory", lambda: 100)
    with pytest.raises(DlcvError, match="MiB of memory are free"):
        opened(root)
    layout = find_image_layout(root)
    data = FewShotSet(image_split(layout, "all"), "all", root, SIZE)
    monkeypatch.setattr("dlcvcli.data.few_shot.free_memory", lambda: 500)
    data.read(1 << 20, as_fits=True)
    assert data.kept == 2


def test_images_that_are_not_square_are_not_rotated(root: Path) -> None:
    classes = image_split(find_image_layout(root), "all")
    with pytest.raises(UsageError, match="rotations need square images"):
        FewShotSet(classes, "all", root, (6, 8), rotations=True)


def test_images_in_two_classes_are_counted(root: Path, tmp_path: Path) -> None:
    import shutil

    assert duplicate_remarks([opened(root)]) == []
    copy = shutil.copytree(root, tmp_path / "copy")
    shutil.copy(copy / "a" / "0.png", copy / "b" / "7.png")
    shutil.copy(copy / "a" / "1.png", copy / "b" / "8.png")
    shutil.copy(copy / "c" / "0.png", copy / "c" / "9.png")  # twice in its own class
    shutil.copy(copy / "a" / "0.png", copy / "e" / "7.png")
    classes = image_split(find_image_layout(copy), "all")
    sets = [
        FewShotSet(part, name, copy, SIZE)
        for name, part in (("train", classes[:3]), ("val", classes[3:]))
    ]
    for data in sets:
        data.read(0)
    assert duplicate_remarks(sets) == [
        "duplicates: 2 of the 12 images of train are in another class too, e.g. b/7.png is a/0.png",
        "duplicates: 1 of the 7 images of val are in another class of train too, e.g. "
        "e/7.png is a/0.png",
    ]
