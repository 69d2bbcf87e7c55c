"""The images of a split with a class each: order of classes, batches of ranks, fingerprints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlcvcli.data.image_classes import find_image_layout
from dlcvcli.data.labelled_images import (
    LabelledImages,
    check_labelled,
    class_names,
    image_sizes,
    split_images,
)
from dlcvcli.data.labelled_split import open_for_model, pooled
from dlcvcli.data.seen_images import SeenImages
from dlcvcli.errors import DataError


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("10", "9", "1"):
        (tmp_path / name).mkdir()
        for index in range(3):
            pixels = rng.integers(0, 256, (8, 6, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{index}.png")
    return tmp_path


def opened(folder: Path, size: tuple[int, int] | None = (4, 4)) -> LabelledImages:
    layout = find_image_layout(folder)
    return split_images(layout.splits["all"], class_names(layout), "all", layout.root, size)


def test_numbers_are_sorted_by_value(digits: Path) -> None:
    data = opened(digits)
    assert data.classes == ("1", "9", "10")
    assert data.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert data.name_of(8) == "10/2.png"


def test_batches_of_all_ranks_are_the_set(digits: Path) -> None:
    data = opened(digits)
    batches = [b for rank in range(2) for b in data.batches(2, rank=rank, world_size=2)]
    assert sorted(i for batch in batches for i in batch.indices.tolist()) == list(range(9))
    for batch in batches:
        for place, index in enumerate(batch.indices.tolist()):
            assert (batch.images[place] == data.read(index).image).all()
            assert batch.labels[place] == data.labels[index]


def test_decoded_images_are_kept_within_the_memory(digits: Path) -> None:
    whole = opened(digits)
    data = LabelledImages(
        whole.files, whole.labels, whole.classes, "all", digits, (4, 4), memory=5 * 48
    )
    before = next(data.batches(9)).images.copy()
    for file in data.files[:5]:
        file.unlink()
    again = [data._decoded(index) for index in range(5)]
    assert (np.stack(again) == before[:5]).all()
    with pytest.raises(DataError):
        data.read(3)
    assert len(data._kept) == 5
    # A part, or the same images at another size, has others.
    assert (data.part([8]).read(0).image == before[8]).all()
    with pytest.raises(DataError):
        next(replace(data, size=(2, 2)).batches(9))


def test_the_fingerprint_depends_on_names_content_and_classes(digits: Path) -> None:
    data = opened(digits)
    sha256, digests = check_labelled(data)
    assert check_labelled(data, decode=False) == (sha256, digests)
    other = LabelledImages(data.files, data.labels[::-1].copy(), data.classes, "all", digits)
    assert check_labelled(other)[0] != sha256
    assert len(digests) == 9
    assert set(image_sizes(data)) == {(8, 6)}


def test_held_out_images_are_recognised_wherever_the_set_is(digits: Path) -> None:
    data = opened(digits)
    _, digests = check_labelled(data)
    seen = SeenImages(frozenset(digests[:6]), tuple(digests[6:]))
    moved = digits.rename(digits.with_name("moved"))
    held = open_for_model(moved, "val", seen=seen, classes=data.classes)
    assert [held.data.name_of(i) for i in range(3)] == ["10/0.png", "10/1.png", "10/2.png"]
    assert "scoring the 3 of its 9 images" in held.remarks[0]
    everything = open_for_model(moved, "all", seen=seen, classes=data.classes)
    assert len(everything.data) == 9
    with pytest.raises(DataError, match="class '10'"):
        open_for_model(moved, "val", seen=seen, classes=("1", "9"))


def test_images_of_several_sizes_are_no_batch(digits: Path) -> None:
    Image.new("RGB", (5, 8)).save(digits / "9" / "0.png")
    with pytest.raises(
        DataError, match=r"9/0\.png is 5 x 8 .*, and the images before it are 6 x 8"
    ):
        list(opened(digits, size=None).batches(2))


def test_a_damaged_file_is_named_unless_only_its_bytes_are_needed(digits: Path) -> None:
    (digits / "1" / "2.png").write_bytes(b"no image")
    data = opened(digits)
    with pytest.raises(DataError, match=r"1/2\.png"):
        check_labelled(data)
    done: list[tuple[int, int]] = []
    check_labelled(data, lambda one, of: done.append((one, of)), decode=False)
    assert done == [(index, 9) for index in range(1, 10)]


def test_splits_that_the_training_made_anew_go_before_those_of_the_folder(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("train/a/x_0", "train/b/y_0", "val/a/x_1", "val/b/y_1", "test/a/z", "test/b/z"):
        file = tmp_path / f"{name}.png"
        file.parent.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(file)
    layout = find_image_layout(tmp_path)
    pool = split_images(pooled(layout), ("a", "b"), "all", tmp_path)
    _, digests = check_labelled(pool)
    held = [pool.name_of(index).endswith(("x_0.png", "x_1.png")) for index in range(4)]
    parts = [
        tuple(d for d, out in zip(digests, held, strict=True) if out == kept) for kept in (0, 1)
    ]
    seen = SeenImages(frozenset(parts[0]), parts[1])

    def names(split: str, *, regrouped: bool = True) -> list[str]:
        data = open_for_model(
            tmp_path, split, seen=seen, classes=("a", "b"), regrouped=regrouped
        ).data
        return [data.name_of(index) for index in range(len(data))]

    assert names("val") == ["train/a/x_0.png", "val/a/x_1.png"]
    assert names("train") == ["train/b/y_0.png", "val/b/y_1.png"]
    assert names("test") == ["test/a/z.png", "test/b/z.png"]
    assert len(names("all")) == 4
    assert names("val", regrouped=False) == ["val/a/x_1.png", "val/b/y_1.png"]
