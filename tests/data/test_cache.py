"""The cache of decoded images: the same numbers, within its limit, once for all processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from dlcvcli.config.schema import AugmentSettings
from dlcvcli.data import cache as module
from dlcvcli.data.augment import SegmentationAugment
from dlcvcli.data.cache import ImageCache, cache_of
from dlcvcli.data.loader import Batch, TrainingBatches, TrainingImages
from dlcvcli.data.normalise import MEAN_COLOUR
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.data.segmentation import SegmentationSet, open_split
from dlcvcli.errors import DlcvError
from tests.conftest import write_camvid

SIZES = [(20, 30), (12, 16), (40, 24), (20, 30), (9, 9), (33, 17), (20, 20)]
PIXELS = [height * width for height, width in SIZES]
ALL = 4 * sum(PIXELS) + len(SIZES)
NOTHING = AugmentSettings(scale=(1, 1), flip=0, brightness=0, contrast=0, saturation=0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SegmentationSet:
    """Seven images of mixed sizes."""
    return open_split(write_camvid(tmp_path_factory.mktemp("c") / "set", {"train": SIZES}), "train")


def source(
    data: SegmentationSet,
    cache: ImageCache | None,
    workers: int = 0,
    augment: AugmentSettings | None = None,
) -> TrainingBatches:
    changes = SegmentationAugment(augment or AugmentSettings(), (16, 18), MEAN_COLOUR, 11)
    images = TrainingImages(data, changes, 1, cache)
    return TrainingBatches(images, BatchPlan(len(data), 2, 1), workers=workers)


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(first[key], second[key])
        for first, second in zip(one, other, strict=True)
        for key in ("images", "masks")
    )


def filled(cache: ImageCache) -> list[int]:
    return [index for index in range(len(cache.shapes)) if cache.get(index) is not None]


class ImagesWithoutMasks:
    """The images of a segmentation set alone, as a set for classification holds them."""

    def __init__(self, data: SegmentationSet) -> None:
        self.data = data
        self.files = data.files
        self.size = data.size

    def __len__(self) -> int:
        return len(self.data)

    def read(self, index: int) -> SimpleNamespace:
        return SimpleNamespace(image=self.data.read(index).image, mask=None)


# -- the same numbers ----------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("limit", [ALL, ALL // 2, 10])
@pytest.mark.parametrize("augment", [AugmentSettings(), NOTHING], ids=["changed", "plain"])
def test_neither_cache_nor_workers_change_a_number(
    data: SegmentationSet, limit: int, workers: int, augment: AugmentSettings
) -> None:
    wanted = list(source(data, None, augment=augment).steps(0, 10))
    cache = ImageCache(SIZES, limit)
    assert same(list(source(data, cache, workers, augment).steps(0, 10)), wanted)
    # And again, now that it is filled, from another step on.
    assert same(list(source(data, cache, workers, augment).steps(3, 10)), wanted[3:])


def test_a_set_of_one_size_is_kept_stretched(data: SegmentationSet) -> None:
    sized = open_split(data.root, "train", size=(14, 26))
    cache = cache_of(sized, 10**6)
    assert cache is not None
    wanted = list(source(sized, None).steps(0, 7))
    assert same(list(source(sized, cache).steps(0, 7)), wanted)
    assert same(list(source(sized, cache).steps(0, 7)), wanted)
    assert (cache.kept, cache.size) == (7, 7 + 7 * 4 * 14 * 26)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("limit", [0, 10**6])
def test_images_without_masks_are_those_of_the_set_with_masks(
    data: SegmentationSet, limit: int, workers: int
) -> None:
    images = ImagesWithoutMasks(data)
    cache = cache_of(images, limit, masks=False)
    changes = SegmentationAugment(AugmentSettings(), (16, 18), MEAN_COLOUR, 11)
    batches = TrainingBatches(
        TrainingImages(images, changes, 1, cache), BatchPlan(len(data), 2, 1), workers=workers
    )
    wanted = [{"images": batch["images"]} for batch in source(data, None).steps(0, 7)]
    for _ in range(2):  # the second time from the cache
        got = list(batches.steps(0, 7))
        assert [batch.keys() for batch in got] == [{"images": 0}.keys()] * 7
        assert all(torch.equal(a["images"], b["images"]) for a, b in zip(got, wanted, strict=True))
    if cache is not None:
        assert (cache.kept, cache.size) == (7, 7 + 3 * sum(PIXELS))


def test_a_cached_sample_is_not_read_again(
    data: SegmentationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = cache_of(data, ALL)
    batches = source(data, cache)
    wanted = list(batches.steps(0, 12))
    assert filled(batches.dataset.cache) == list(range(7))  # type: ignore[attr-defined]

    def read(*_: Any) -> None:
        pytest.fail("was decoded again")

    monkeypatch.setattr(SegmentationSet, "read", read)
    assert same(list(batches.steps(0, 12)), wanted)


def test_augmenting_a_sample_does_not_change_the_cached_one(data: SegmentationSet) -> None:
    cache = ImageCache(SIZES, ALL)
    list(source(data, cache).steps(0, 12))
    before = cache.memory.clone()
    for augment in (NOTHING, AugmentSettings(hue=0.5)):
        for batch in source(data, cache, augment=augment).steps(0, 9):
            batch["images"].zero_()
            batch["masks"].zero_()
    assert torch.equal(cache.memory, before)


# -- within its limit ----------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 7, 8, 2000, 4000, 6007, ALL - 1, ALL, 10**9])
def test_the_limit_holds_for_all_that_it_takes(limit: int) -> None:
    cache = ImageCache(SIZES, limit)
    assert len(cache.memory) == cache.size <= limit
    places = sorted(
        (int(start), int(start) + 4 * pixels)
        for start, pixels in zip(cache.starts, PIXELS, strict=True)
        if start >= 0
    )
    assert len(places) == cache.kept
    assert (cache.kept == 7) == (limit >= ALL)
    # The places begin behind the bytes that say what is filled, and none reaches into the next.
    edges = [7, *(edge for place in places for edge in place)]
    assert edges == sorted(edges)
    assert not places or places[-1][1] == cache.size


def test_a_small_image_behind_a_large_one_still_fits() -> None:
    cache = ImageCache([(10, 10), (100, 100), (10, 10)], 1000)
    assert (cache.starts >= 0).tolist() == [True, False, True]


def test_it_describes_its_images_and_memory() -> None:
    shapes = [(512, 512)] * 5
    assert ImageCache(shapes, 3 << 20).describe() == (
        "cache: 2 of 5 images in 3 MiB of at most 3 MiB"
    )
    assert ImageCache(shapes, 1 << 30).describe() == (
        "cache: 5 of 5 images in 6 MiB of at most 1024 MiB"
    )
    assert ImageCache(shapes, 5).describe() == "cache: 0 of 5 images in 0 MiB of at most 0 KiB"


def test_no_limit_is_no_cache(data: SegmentationSet) -> None:
    assert cache_of(data, 0) is None


def test_ranks_of_a_machine_share_its_limit(data: SegmentationSet) -> None:
    cache = cache_of(data, ALL, sharing=2)
    assert cache is not None
    assert cache.limit == ALL // 2
    assert 0 < cache.size <= ALL // 2


def test_a_cache_larger_than_free_memory_is_refused(
    data: SegmentationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "free_memory", lambda: ALL - 1)
    with pytest.raises(DlcvError, match=r"needs 1 MiB, and 0 MiB of memory are free"):
        cache_of(data, 1 << 40)
    # The limit itself need not be free, where the images take less.
    monkeypatch.setattr(module, "free_memory", lambda: ALL)
    assert cache_of(data, 1 << 40) is not None
    monkeypatch.setattr(module, "free_memory", lambda: None)
    assert cache_of(data, 1 << 40) is not None


def test_memory_that_the_system_refuses_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(module, "mmap", SimpleNamespace(mmap=refuse))
    monkeypatch.setattr(module.torch, "zeros", refuse)
    with pytest.raises(DlcvError, match=r"cannot share 1 MiB .* Cannot allocate") as caught:
        ImageCache(SIZES, ALL)
    assert "smaller limit" in caught.value.hint


def test_a_file_of_another_size_than_before_is_not_kept() -> None:
    cache = ImageCache([(2, 3)], 100)
    cache.put(0, torch.ones(3, 2, 3, dtype=torch.uint8), torch.ones(3, 2, dtype=torch.uint8))
    assert cache.get(0) is None
    cache.put(0, torch.ones(2, 3, 3, dtype=torch.uint8), torch.ones(2, 3, dtype=torch.uint8))
    assert cache.get(0) is not None


# -- once for all processes ----------------------------------------------------------------------


def test_processes_share_decoded_images(data: SegmentationSet) -> None:
    cache = ImageCache(SIZES, ALL)
    list(source(data, cache, workers=2).steps(0, 12))
    assert filled(cache) == list(range(7))
    for index in range(7):
        kept, sample = cache.get(index), data.read(index)
        assert kept is not None
        assert np.array_equal(kept[0].numpy(), sample.image)
        assert np.array_equal(kept[1].numpy(), sample.mask)


def test_the_cache_is_not_used_after_a_holder_of_its_lock_died(
    data: SegmentationSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_TIMEOUT", 0.01)
    cache = ImageCache(SIZES, ALL)
    cache.lock.acquire()
    wanted = list(source(data, None).steps(0, 4))
    assert same(list(source(data, cache).steps(0, 4)), wanted)
    assert (cache.starts < 0).all()


SPAWNED = """
import multiprocessing, sys
from pathlib import Path

from dlcvcli.data.cache import cache_of
from dlcvcli.data.segmentation import open_split
from tests.data.test_cache import same, source

if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[2])
    data = open_split(Path(sys.argv[1]), "train")
    wanted = list(source(data, None).steps(0, 9))
    cache = cache_of(data, 10**6)
    assert same(list(source(data, cache, 1).steps(0, 9)), wanted)
    found = [cache.get(index) is not None for index in range(7)]
    assert all(found), found
    print(cache.describe())
"""


def test_spawned_processes_share_the_cache(tmp_path: Path, data: SegmentationSet) -> None:
    script = tmp_path / "script.py"
    script.write_text(SPAWNED)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, script, data.root, "spawn"],
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("cache: 7 of 7 images")
