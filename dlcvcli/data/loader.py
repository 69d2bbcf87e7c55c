"""Training batches, step by step: read, augmented and stacked by torch's DataLoader."""

from __future__ import annotations

import atexit
import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

from dlcvcli.data.cache import ImageCache
from dlcvcli.data.sampler import BatchPlan, Draw, StepRange
from dlcvcli.data.source import ImageSource
from dlcvcli.errors import DataError, DlcvError
from dlcvcli.machine import usable_cores

Batch = dict[str, Tensor]

Augment = Callable[[np.random.Generator, Tensor, Tensor | None], tuple[Tensor, Tensor | None]]
"""Changes an image, uint8 [3, H, W], and its mask, uint8 [H, W], if it has one."""


class TrainingImages(Dataset[dict[str, Tensor] | DataError]):
    """Augmented images, with their masks if they have any.

    A sample is a function of (seed, epoch, index) alone: {"images": uint8 [h, w, 3]}, "masks":
    uint8 [h, w] where the images have masks, and "labels": int64 [] where they have labels.

    Args:
        data: the images.
        augment: the random changes.
        seed: seed of the changes.
        cache: keeps decoded samples, if given; it changes no sample.
        labels: the class of each image, int64 [N], where images have classes.
    """

    def __init__(
        self,
        data: ImageSource,
        augment: Augment,
        seed: int,
        cache: ImageCache | None = None,
        labels: NDArray[np.int64] | None = None,
    ) -> None:
        self.data = data
        self.augment = augment
        self.seed = seed
        self.cache = cache
        self.labels = labels

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, draw: Draw) -> dict[str, Tensor] | DataError:
        epoch, index = draw
        try:
            image, mask = self._decoded(index)
        except DataError as error:
            # To be raised in the main process: a worker would wrap it into a traceback.
            return error
        rng = np.random.default_rng((self.seed, epoch, index))
        image, mask = self.augment(rng, image.permute(2, 0, 1), mask)
        sample = {"images": image.permute(1, 2, 0).contiguous()}
        if mask is not None:
            sample["masks"] = mask.contiguous()
        if self.labels is not None:
            sample["labels"] = torch.tensor(self.labels[index])
        return sample

    def _decoded(self, index: int) -> tuple[Tensor, Tensor | None]:
        """Return an image, uint8 [H, W, 3], and its mask, uint8 [H, W], of the image's size."""
        kept = None if self.cache is None else self.cache.get(index)
        if kept is not None:
            return kept
        sample = self.data.read(index)
        image = torch.from_numpy(np.array(sample.image))
        mask = None if sample.mask is None else torch.from_numpy(np.array(sample.mask))
        if mask is not None and mask.shape != image.shape[:2]:
            mask = F.resize(
                mask[None], list(image.shape[:2]), interpolation=InterpolationMode.NEAREST_EXACT
            )[0]
        if self.cache is not None:
            self.cache.put(index, image, mask)
        return image, mask


def _stack(samples: Sequence[dict[str, Tensor] | DataError]) -> Batch | DataError:
    batch: dict[str, list[Tensor]] = {}
    for sample in samples:
        if isinstance(sample, DataError):
            return sample
        for key, value in sample.items():
            batch.setdefault(key, []).append(value)
    return {key: torch.stack(values) for key, values in batch.items()}


def _leave_signals_to_the_main_process(worker: int) -> None:
    """Ignore the signals that Ctrl-C and job managers send to all processes.

    The main process saves and stops; a worker that died of the signal would make that an error.
    Workers end with the loader, or when the main process is gone.
    """
    for name in ("SIGINT", "SIGTERM", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


_workers: weakref.WeakSet[BaseProcess] = weakref.WeakSet()
_owner = os.getpid()


@atexit.register
def _end_workers() -> None:
    """Kill the workers that are left when the interpreter exits.

    The traceback of an error may keep their loader alive until then. Python itself would send them
    SIGTERM, which they ignore, and wait for them.
    """
    if os.getpid() == _owner:
        for worker in _workers:
            worker.kill()


@contextmanager
def _own_child_signal() -> Iterator[None]:
    """Undo the SIGCHLD handler that torch installs for the workers it starts.

    The handler raises at whatever line the main thread has reached when a worker dies, for example
    while a checkpoint is written. Without it, the wait for the next batch detects a dead worker
    within 5 s.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() != threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


@contextmanager
def _report_dead_worker(workers: set[BaseProcess]) -> Iterator[None]:
    """Turn any error raised while waiting for a batch into a `DlcvError` if a worker has died."""
    try:
        yield
    except Exception as error:
        # The error comes from torch or from a pipe, depending on what the worker was doing. The
        # worker may not have ended yet.
        ended = connection.wait(
            [worker.sentinel for worker in workers], timeout=min(1, len(workers))
        )
        dead = next((worker for worker in workers if worker.sentinel in ended), None)
        if dead is None:
            raise
        dead.join(timeout=5)
        raise _worker_died(dead) from error


class _EndEvent:
    """Torch's event that tells workers to end, without its lock if a worker has died.

    A worker may be killed while it holds the lock, and setting the event would then never return.
    """

    def __init__(self, shared: Any, workers: set[BaseProcess]) -> None:
        self._shared = shared
        self._workers = workers
        self._over = False

    def is_set(self) -> bool:
        return self._over

    def set(self) -> None:
        self._over = True
        if all(worker.is_alive() for worker in self._workers):
            self._shared.set()
            return
        for worker in self._workers:
            worker.kill()


_LIKELY = {
    "SIGKILL": ", likely because memory ran out",
    "SIGBUS": ", likely because shared memory (/dev/shm) ran out",
}


def _worker_died(worker: BaseProcess) -> DlcvError:
    status = worker.exitcode or 0
    if status < 0:
        names = {known.value: known.name for known in signal.Signals}
        name = names.get(-status, f"signal {-status}")
        how = f"was killed by {name}{_LIKELY.get(name, '')}"
    else:
        how = f"ended with exit status {status}"
    return DlcvError(
        f"a loader worker (process {worker.pid}) {how}",
        "use fewer --workers or a smaller data.cache, and continue the run with --resume from its "
        "last checkpoint",
    )


class TrainingBatches:
    """The batches of every step, from any step on.

    Args:
        dataset: maps a `Draw` to a dict of tensors.
        plan: the draws of each step.
        workers: number of loader processes; 0 reads in the main process.
        pin_memory: return batches in page-locked memory, for a GPU.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        plan: BatchPlan,
        *,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self.dataset = dataset
        self.plan = plan
        self.workers = workers
        self.pin_memory = pin_memory

    def steps(
        self,
        start: int,
        stop: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        workers: int | None = None,
    ) -> Generator[Batch]:
        """Yield a rank's batch of each step from `start` to `stop`.

        One loader serves all steps, so that workers do not restart at each epoch. Close the
        generator to end the workers early.

        Raises:
            DataError: a sample cannot be read.
            DlcvError: a worker process died.
        """
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_sampler=StepRange(self.plan, start, stop, rank, world_size),
            num_workers=self.workers if workers is None else workers,
            collate_fn=_stack,
            pin_memory=self.pin_memory,
            # Without it the loader draws a base seed from the global generator, and the numbers of
            # a run would depend on how often it was resumed.
            generator=torch.Generator(),
            worker_init_fn=_leave_signals_to_the_main_process,
        )
        others = {*multiprocessing.active_children()}
        with _own_child_signal():
            iterator = iter(loader)
        started = {*multiprocessing.active_children()} - others
        _workers.update(started)
        if started:
            shared = iterator._workers_done_event  # type: ignore[attr-defined]
            iterator._workers_done_event = _EndEvent(shared, started)  # type: ignore[attr-defined]
        try:
            while True:
                with _report_dead_worker(started):
                    batch = next(iterator, None)
                if batch is None:
                    return
                if isinstance(batch, DataError):
                    raise batch
                yield batch
        finally:
            # End the workers now. They ignore SIGTERM, so the interpreter would wait for them when
            # it exits.
            del iterator


def default_workers(*, on_gpu: bool, ranks: int) -> int:
    """Return the loader processes of a rank: one beside a CPU that trains, several beside a GPU.

    Args:
        on_gpu: whether the rank trains on a GPU.
        ranks: number of ranks on this machine.
    """
    cores = usable_cores()
    if not on_gpu:
        return 1 if cores > 1 else 0
    return max(1, min(8, cores // ranks - 1))
