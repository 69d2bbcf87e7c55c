"""Training batches: the same for any workers, ranks and first step."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from dlcvcli.config.schema import AugmentSettings, ImageAugmentSettings
from dlcvcli.data import loader
from dlcvcli.data.augment import SegmentationAugment
from dlcvcli.data.cache import cache_of
from dlcvcli.data.image_augment import ImageAugment
from dlcvcli.data.image_classes import find_image_layout
from dlcvcli.data.labelled_images import split_images
from dlcvcli.data.loader import Batch, TrainingBatches, TrainingImages
from dlcvcli.data.normalise import MEAN_COLOUR
from dlcvcli.data.sampler import BatchPlan, Draw
from dlcvcli.data.segmentation import SegmentationSet, open_split
from dlcvcli.errors import DataError, DlcvError
from tests.conftest import write_camvid

SIZES = [(20, 30), (12, 16), (40, 24), (20, 30), (9, 9), (33, 17), (20, 20)]
NOTHING = AugmentSettings(scale=(1, 1), flip=0, brightness=0, contrast=0, saturation=0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SegmentationSet:
    """Seven images of mixed sizes."""
    return open_split(write_camvid(tmp_path_factory.mktemp("l") / "set", {"train": SIZES}), "train")


def _source(data: SegmentationSet, workers: int = 0, seed: int = 1) -> TrainingBatches:
    augment = SegmentationAugment(AugmentSettings(), (16, 18), MEAN_COLOUR, 11)
    images = TrainingImages(data, augment, seed)
    return TrainingBatches(images, BatchPlan(len(data), 2, seed), workers=workers)


def _same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)
        for first, second in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def straight(data: SegmentationSet) -> list[Batch]:
    """Seven steps, two epochs and a bit, read in this process."""
    return list(_source(data).steps(0, 7))


def test_a_batch_is_uint8_with_the_shape_of_the_crop(straight: list[Batch]) -> None:
    assert len(straight) == 7
    for batch in straight:
        assert {key: (value.dtype, tuple(value.shape)) for key, value in batch.items()} == {
            "images": (torch.uint8, (2, 16, 18, 3)),
            "masks": (torch.uint8, (2, 16, 18)),
        }
        assert all(value.is_contiguous() for value in batch.values())


def test_worker_processes_do_not_change_the_batches(
    data: SegmentationSet, straight: list[Batch]
) -> None:
    assert _same(list(_source(data, workers=2).steps(0, 7)), straight)


@pytest.mark.parametrize("start", [1, 3, 4, 6, 7])
def test_starting_at_any_step_gives_the_remaining_batches(
    data: SegmentationSet, straight: list[Batch], start: int
) -> None:
    assert _same(list(_source(data).steps(start, 7)), straight[start:])


def test_starting_in_the_middle_with_workers_gives_the_remaining_batches(
    data: SegmentationSet, straight: list[Batch]
) -> None:
    assert _same(list(_source(data).steps(4, 7, workers=2)), straight[4:])


def test_the_batches_of_the_ranks_make_up_the_global_batch(
    data: SegmentationSet, straight: list[Batch]
) -> None:
    parts = [list(_source(data).steps(0, 7, rank=rank, world_size=2)) for rank in range(2)]
    joined = [
        {key: torch.cat([first[key], second[key]]) for key in first}
        for first, second in zip(*parts, strict=True)
    ]
    assert _same(joined, straight)


def test_another_seed_and_another_epoch_are_other_samples(data: SegmentationSet) -> None:
    images = _source(data).dataset
    other = _source(data, seed=2).dataset
    samples = [images[0, 3], images[1, 3], other[0, 3]]
    assert len({sample["images"].numpy().tobytes() for sample in samples}) == 3


def test_a_sample_does_not_depend_on_earlier_samples(data: SegmentationSet) -> None:
    images = _source(data).dataset
    first = images[2, 5]
    for index in range(len(data)):
        _ = images[0, index]
    assert _same([first], [images[2, 5]])


@pytest.mark.parametrize("workers", [0, 2])
def test_no_global_random_state_is_touched(data: SegmentationSet, workers: int) -> None:
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    list(_source(data, workers=workers).steps(0, 3))
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]
    assert all(np.array_equal(one, other) for one, other in zip(before[2], after[2], strict=True))


def test_a_mask_is_resized_with_its_image(data: SegmentationSet) -> None:
    sized = open_split(data.root, "train", size=(40, 60))
    augment = SegmentationAugment(NOTHING, (40, 60), MEAN_COLOUR, 11)
    got = TrainingImages(sized, augment, seed=0)[0, 0]
    sample = data.read(0)
    wanted = Image.fromarray(sample.image).resize((60, 40), Image.Resampling.BILINEAR)
    assert np.array_equal(got["images"].numpy(), np.asarray(wanted))
    assert np.array_equal(got["masks"].numpy(), sample.mask.repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_file_is_the_same_user_error_from_a_worker(tmp_path: Path, workers: int) -> None:
    damaged = open_split(write_camvid(tmp_path / "set", {"train": SIZES[:4]}), "train")
    damaged.pairs[2].image.write_bytes(b"not an image")
    with pytest.raises(DataError) as caught:
        list(_source(damaged, workers=workers).steps(0, 2))
    assert caught.value.message.startswith(f"{damaged.pairs[2].image} is not an image in a format")


@pytest.mark.parametrize("workers", [0, 2])
def test_the_hint_of_an_error_in_a_worker_is_kept(tmp_path: Path, workers: int) -> None:
    damaged = open_split(write_camvid(tmp_path / "set", {"train": SIZES[:2]}), "train")
    Image.fromarray(np.zeros((5, 5), dtype=np.uint8)).save(damaged.pairs[0].mask)
    with pytest.raises(DataError) as caught:
        list(_source(damaged, workers=workers).steps(0, 1))
    assert caught.value.hint == "an image and its annotation must have the same size"


def test_closing_the_batches_early_ends_the_workers(data: SegmentationSet) -> None:
    batches = _source(data, workers=2).steps(0, 10**6)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert multiprocessing.active_children() == []


class Deadly(Dataset[Any]):
    """Samples of which some end the process that asks for them."""

    def __init__(self, how: Callable[[], object]) -> None:
        self.how = how

    def __getitem__(self, draw: Draw) -> dict[str, torch.Tensor]:
        if draw[0] == 1:
            self.how()
        return {"images": torch.zeros(1)}


def _kill(number: int) -> Callable[[], object]:
    return lambda: os.kill(os.getpid(), number)


@pytest.fixture
def _quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch look every 0.1 s, not every 5 s, whether its workers live."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.1,))


@pytest.mark.usefixtures("_quick_look")
@pytest.mark.parametrize(
    ("how", "message"),
    [
        (_kill(signal.SIGKILL), "was killed by SIGKILL, likely because memory ran out"),
        # Not SIGHUP, which every process under nohup ignores.
        (_kill(signal.SIGUSR2), "was killed by SIGUSR2"),
        (lambda: os._exit(3), "ended with exit status 3"),
    ],
)
def test_a_worker_that_dies_is_a_user_error(how: Callable[[], object], message: str) -> None:
    before = signal.getsignal(signal.SIGCHLD)
    steps = TrainingBatches(Deadly(how), BatchPlan(4, 2, 0), workers=1).steps(0, 10)
    with pytest.raises(DlcvError, match=message) as caught:
        list(steps)
    assert "\n" not in caught.value.message
    assert "--workers" in caught.value.hint
    assert signal.getsignal(signal.SIGCHLD) == before


@pytest.mark.usefixtures("_quick_look")
def test_a_killed_worker_raises_only_at_the_next_batch() -> None:
    others = {*multiprocessing.active_children()}
    steps = TrainingBatches(Deadly(int), BatchPlan(4, 2, 0), workers=1).steps(0, 10**6)
    next(steps)
    (worker,) = {*multiprocessing.active_children()} - others
    worker.kill()
    worker.join()
    # Torch's signal handler would raise here, at any point of this thread.
    time.sleep(0.01)
    with pytest.raises(DlcvError, match="was killed by SIGKILL"):
        list(steps)


BROKEN = """
from torch.utils.data import Dataset
from dlcvcli.data.loader import TrainingBatches
from dlcvcli.data.sampler import BatchPlan

class Broken(Dataset):
    def __getitem__(self, draw):
        raise RuntimeError("a bug")

next(TrainingBatches(Broken(), BatchPlan(8, 2, 0), workers=2).steps(0, 10**6))
"""


def test_a_bug_in_a_worker_ends_the_process_and_its_workers() -> None:
    # The traceback keeps the loader alive until Python's end, which waits for its workers.
    done = subprocess.run(
        [sys.executable, "-c", BROKEN],
        cwd=Path(__file__).parent.parent.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "RuntimeError: a bug" in done.stderr
    assert "killed by signal" not in done.stderr


@pytest.mark.parametrize(
    ("cores", "ranks", "on_gpu", "workers"),
    # With a GPU, only the ranks share the cores of the machine.
    [(1, 1, False, 0), (2, 1, False, 1), (64, 1, False, 1), (32, 4, True, 7), (2, 4, True, 1)],
)
def test_loader_processes_depend_on_the_cores_of_the_machine(
    monkeypatch: pytest.MonkeyPatch, cores: int, ranks: int, on_gpu: bool, workers: int
) -> None:
    monkeypatch.setattr(loader, "usable_cores", lambda: cores)
    assert loader.default_workers(on_gpu=on_gpu, ranks=ranks) == workers


def test_images_with_labels_have_no_masks_with_and_without_a_cache(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for index in range(3):
            colour = (index, 100, len(name))
            Image.new("RGB", (9, 7), colour).save(tmp_path / name / f"{index}.png")
    layout = find_image_layout(tmp_path)
    data = split_images(layout.splits["all"], ("a", "b"), "all", tmp_path, (7, 9))
    augment = ImageAugment(ImageAugmentSettings(), (8, 8))
    cache = cache_of(data, 1 << 20, masks=False)
    assert cache is not None
    batches = []
    for kept in (None, cache, cache):
        images = TrainingImages(data, augment, seed=1, cache=kept, labels=data.labels)
        batches.append(list(TrainingBatches(images, BatchPlan(len(data), 2, 1)).steps(0, 3)))
    assert _same(batches[0], batches[1])
    assert _same(batches[0], batches[2])
    assert {key: (value.dtype, tuple(value.shape)) for key, value in batches[0][0].items()} == {
        "images": (torch.uint8, (2, 8, 8, 3)),
        "labels": (torch.int64, (2,)),
    }
    plan = BatchPlan(len(data), 2, 1)
    drawn = [index for step in range(3) for _, index in plan.draws(step)]
    assert torch.cat([batch["labels"] for batch in batches[0]]).tolist() == [
        data.labels[index] for index in drawn
    ]
