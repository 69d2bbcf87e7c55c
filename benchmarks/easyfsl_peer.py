"""easyfsl 1.5 as its tutorials use it: episodes from a `TaskSampler` through a `DataLoader`."""

from __future__ import annotations

from easyfsl.datasets import FewShotDataset
from easyfsl.samplers import TaskSampler
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from dlcvcli.data.episodes import Shape


class _Base(Sampler[list[int]]):
    """PyTorch's `Sampler` with the argument that easyfsl 1.5 gives it, and newer PyTorch lacks."""

    def __init__(self, data_source: None = None) -> None:
        super().__init__()


class Tasks(TaskSampler, _Base):
    """easyfsl's sampler, unchanged, on newer PyTorch too."""


def task_loader(
    data: FewShotDataset, shape: Shape, count: int, *, workers: int = 0, pin_memory: bool = False
) -> DataLoader[tuple[Tensor, Tensor, Tensor, Tensor, list[int]]]:
    """Return a loader of `count` episodes of a shape."""
    sampler = Tasks(data, shape.n_way, shape.k_shot, shape.n_query, count)
    return DataLoader(
        data,
        batch_sampler=sampler,
        num_workers=workers,
        pin_memory=pin_memory,
        collate_fn=sampler.episodic_collate_fn,
    )
