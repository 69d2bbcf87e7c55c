"""Evaluation batches: one size each, every sample once, without influence on the scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcvcli.data.batches import Batch, EvalBatches
from dlcvcli.data.segmentation import SegmentationSet, open_split
from dlcvcli.errors import DataError
from dlcvcli.metrics import SegmentationScore
from tests.conftest import write_camvid

SIZES = [(10, 14), (9, 14), (10, 14), (14, 10), (9, 14), (10, 14), (10, 14), (7, 7), (9, 14)]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> SegmentationSet:
    """Nine images of four sizes."""
    folder = tmp_path_factory.mktemp("mixed")
    return open_split(write_camvid(folder / "set", {"val": SIZES}), "val")


def _scores(images: list[Batch], data: SegmentationSet) -> dict[str, object]:
    score = SegmentationScore(data.classes)
    for batch in images:
        # Any rule of the pixels will do for a prediction.
        score.update(batch.masks, batch.images[..., 0] % np.uint8(11))
    return score.compute()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 12), st.integers(1, 5))
def test_all_ranks_together_read_every_sample_once_in_batches_of_one_size(
    mixed: SegmentationSet, batch_size: int, world_size: int
) -> None:
    plans = [
        EvalBatches(mixed, batch_size, rank=rank, world_size=world_size).indices
        for rank in range(world_size)
    ]
    seen = sorted(index for plan in plans for indices in plan for index in indices)
    assert seen == list(range(len(SIZES)))
    for plan in plans:
        for indices in plan:
            assert len(indices) <= batch_size
            assert len({SIZES[index] for index in indices}) == 1


def test_only_the_last_batch_of_a_size_is_not_full(mixed: SegmentationSet) -> None:
    batches = EvalBatches(mixed, 2)
    assert batches.indices == [[7], [1, 4], [8], [0, 2], [5, 6], [3]]
    assert batches.shapes == 4


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_a_batch_stacks_its_samples(mixed: SegmentationSet, threads: int) -> None:
    batches = list(EvalBatches(mixed, 2).read(threads))
    plan = EvalBatches(mixed, 2).indices
    assert [len(batch.names) for batch in batches] == [len(indices) for indices in plan]
    for batch, indices in zip(batches, plan, strict=True):
        height, width = SIZES[indices[0]]
        assert batch.images.shape == (len(indices), height, width, 3)
        assert batch.images.dtype == batch.masks.dtype == np.uint8
        for place, index in enumerate(indices):
            sample = mixed.read(index)
            assert batch.names[place] == sample.name
            assert batch.digests[place] == sample.digest
            assert np.array_equal(batch.images[place], sample.image)
            assert np.array_equal(batch.masks[place], sample.mask)


def test_batching_and_ranks_do_not_change_the_scores(mixed: SegmentationSet) -> None:
    one_by_one = _scores(list(EvalBatches(mixed, 1).read()), mixed)
    assert one_by_one["miou"]
    assert _scores(list(EvalBatches(mixed, 4).read(2)), mixed) == one_by_one
    assert _scores(list(EvalBatches(mixed, 3).read())[::-1], mixed) == one_by_one
    parts = [EvalBatches(mixed, 2, rank=rank, world_size=3) for rank in range(3)]
    spread = [batch for part in parts for batch in part.read()]
    assert _scores(spread, mixed) == one_by_one


def test_a_size_for_the_images_still_groups_by_the_annotations(mixed: SegmentationSet) -> None:
    sized = open_split(mixed.root, "val", size=(16, 16))
    batches = list(EvalBatches(sized, 4).read())
    assert {batch.images.shape[1:] for batch in batches} == {(16, 16, 3)}
    assert {batch.masks.shape[1:] for batch in batches} == {*SIZES}


def test_more_ranks_than_samples_leave_some_without_any(mixed: SegmentationSet) -> None:
    assert list(EvalBatches(mixed, 2, rank=10, world_size=11).read()) == []


def test_a_damaged_sample_is_reported_in_one_line(tmp_path: Path) -> None:
    folder = write_camvid(tmp_path / "set", {"val": SIZES[:3]})
    data = open_split(folder, "val")
    data.pairs[1].mask.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"001\.png is not an image"):
        list(EvalBatches(data, 2).read(2))
