"""Training episodes: the same for any number of ranks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dlcvcli.data.episode_batches import EpisodeBatches
from dlcvcli.data.episodes import Shape, draw_episode
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.data.image_classes import ImageClass

SHAPE = Shape(2, 1, 2)


def grey_set(tmp_path: Path) -> FewShotSet:
    """Four classes of four images, each of one grey: its index."""
    files = [tmp_path / f"{index:02d}.png" for index in range(16)]
    for index, file in enumerate(files):
        Image.fromarray(np.full((3, 3), index, np.uint8)).save(file)
    classes = tuple(
        ImageClass(str(one), tuple(files[4 * one : 4 * one + 4]), str(one)) for one in range(4)
    )
    data = FewShotSet(classes, "train", tmp_path, (3, 3))
    data.read(1 << 20)
    return data


def greys(batch: dict[str, torch.Tensor], key: str) -> list[object]:
    return batch[key][..., 0, 0, 0].tolist()


def test_a_step_holds_the_episodes_of_its_number(tmp_path: Path) -> None:
    batches = EpisodeBatches(grey_set(tmp_path), SHAPE, 5, episodes=2)
    assert batches.plan.batch_size == 12
    for step, batch in enumerate(batches.steps(3, 6), 3):
        assert batch["support"].shape == (2, 2, 1, 3, 3, 3)
        assert batch["query"].shape == (2, 4, 3, 3, 3)
        assert batch["support"].dtype == torch.uint8
        drawn = [draw_episode([4] * 4, SHAPE, 5, 2 * step + part) for part in range(2)]
        assert greys(batch, "support") == [one.support.tolist() for one in drawn]
        assert greys(batch, "query") == [one.query.ravel().tolist() for one in drawn]


def test_ranks_share_a_steps_episodes(tmp_path: Path) -> None:
    batches = EpisodeBatches(grey_set(tmp_path), SHAPE, 0, episodes=2)
    complete = next(batches.steps(7, 8))
    parts = [next(batches.steps(7, 8, rank=rank, world_size=2)) for rank in range(2)]
    for key, value in complete.items():
        assert torch.equal(torch.cat([part[key] for part in parts]), value)
    again = next(batches.steps(7, 8, workers=0))
    assert all(torch.equal(again[key], complete[key]) for key in complete)
