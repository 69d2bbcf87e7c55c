"""A cache of decoded training images in memory that all loader processes share, within a limit.

Each sample has its place from the start. So the memory needed is known before the first step, and
which samples are kept depends on their sizes alone. A cached image equals the decoded one, bit for
bit.
"""

from __future__ import annotations

import mmap
import multiprocessing
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dlcvcli.data.reading import image_size, read_ahead
from dlcvcli.data.source import ImageSource
from dlcvcli.errors import DlcvError
from dlcvcli.machine import free_memory

_MIB = 1 << 20
# Seconds; a lock that is not released in this time was held by a process that was killed.
_LOCK_TIMEOUT = 5.0


class ImageCache:
    """Places for decoded images, with their masks or without, in memory that processes share.

    Make it before the loader processes start. Samples get their places in order, until the next one
    would reach beyond the limit; smaller ones behind it may still fit.

    Args:
        shapes: (height, width) of each sample, of its image and mask alike.
        limit: bytes, at most.
        masks: whether each image has a mask.

    Raises:
        DlcvError: the system cannot provide that much memory.
    """

    def __init__(
        self, shapes: Sequence[tuple[int, int]], limit: int, *, masks: bool = True
    ) -> None:
        self.shapes = np.array(shapes, dtype=np.int64).reshape(-1, 2)
        self.limit = limit
        self.masks = masks
        # One byte per sample marks whether its place is filled.
        end = len(shapes)
        starts = np.full(len(shapes), -1, dtype=np.int64)
        for index, (height, width) in enumerate(self.shapes.tolist()):
            place = _depth(masks) * height * width
            if end + place <= limit:
                starts[index] = end
                end += place
        self.starts = starts
        self.size = end if (starts >= 0).any() else 0
        self.kept = int((starts >= 0).sum())
        self.memory = _shared(self.size)
        self.lock = multiprocessing.get_context().Lock()

    def get(self, index: int) -> tuple[Tensor, Tensor | None] | None:
        """Return a sample; None if it is not kept.

        Returns:
            The image, uint8 [H, W, 3], and its mask, uint8 [H, W], if images have masks. They lie
            in the shared memory: do not change them.
        """
        if self.starts[index] < 0 or not self._filled(index):
            return None
        return self._place(index)

    def put(self, index: int, image: Tensor, mask: Tensor | None = None) -> None:
        """Store an image, uint8 [H, W, 3], and its mask, uint8 [H, W], if they have a place."""
        height, width = self.shapes[index].tolist()
        # A file that was replaced during the run may have another size than before.
        fits = image.shape == (height, width, 3)
        fits &= mask is None or mask.shape == (height, width)
        if self.starts[index] < 0 or not fits:
            return
        kept_image, kept_mask = self._place(index)
        kept_image.copy_(image)
        if kept_mask is not None and mask is not None:
            kept_mask.copy_(mask)
        self._fill(index)

    def describe(self) -> str:
        """Return one line: the number of images that have a place, and their memory."""
        return (
            f"cache: {self.kept} of {len(self.shapes)} images in {_mib(self.size)} MiB "
            f"of at most {_amount(self.limit)}"
        )

    def _place(self, index: int) -> tuple[Tensor, Tensor | None]:
        height, width = self.shapes[index].tolist()
        start, pixels = int(self.starts[index]), height * width
        image = self.memory[start : start + 3 * pixels].view(height, width, 3)
        if not self.masks:
            return image, None
        mask = self.memory[start + 3 * pixels : start + 4 * pixels].view(height, width)
        return image, mask

    # The lock protects the byte alone, not the copying of pixels: two processes that fill the same
    # place write the same pixels. It also makes the pixels visible to other processes before the
    # byte, which processors other than x86 do not guarantee by themselves.

    def _filled(self, index: int) -> bool:
        if not self.lock.acquire(timeout=_LOCK_TIMEOUT):
            self._give_up()
            return False
        try:
            return bool(self.memory[index])
        finally:
            self.lock.release()

    def _fill(self, index: int) -> None:
        if not self.lock.acquire(timeout=_LOCK_TIMEOUT):
            self._give_up()
            return
        try:
            self.memory[index] = 1
        finally:
            self.lock.release()

    def _give_up(self) -> None:
        """Stop using the cache in this process: decoding works without it, waiting may not end."""
        self.starts = np.full_like(self.starts, -1)


def cache_of(
    data: ImageSource, limit: int, *, sharing: int = 1, masks: bool = True
) -> ImageCache | None:
    """Return an empty cache for a set; None for a limit of 0.

    It reads the headers of the images, unless the set stretches all images to one size.

    Args:
        data: the set.
        limit: bytes, at most, for all ranks on this machine together.
        sharing: number of ranks on this machine, each with a cache of its own.
        masks: whether the images have masks.

    Raises:
        DataError: the header of an image cannot be read.
        DlcvError: the memory is not free, or cannot be shared between processes.
    """
    if not limit:
        return None
    if data.size is not None:
        shapes = [data.size] * len(data)
    else:
        shapes = list(read_ahead(image_size, data.files, threads=4, ahead=64))
    free = free_memory()
    complete = sum(_depth(masks) * height * width + 1 for height, width in shapes)
    needed = sharing * min(limit // sharing, complete)
    if free is not None and needed > free:
        raise DlcvError(
            f"data.cache needs {_mib(needed)} MiB, and {free // _MIB} MiB of memory are free",
            "choose a smaller limit, as in --set data.cache=1GiB, or turn the cache off with "
            "--set data.cache=0",
        )
    return ImageCache(shapes, limit // sharing, masks=masks)


def _depth(masks: bool) -> int:
    """Return the bytes of a pixel: three for its colour, and one for its class."""
    return 4 if masks else 3


def _mib(size: int) -> int:
    return -(-size // _MIB)


def _amount(size: int) -> str:
    return f"{size / _MIB:.0f} MiB" if size >= _MIB else f"{size / 1024:.0f} KiB"


def _shared(size: int) -> Tensor:
    """Return zeros, uint8 [size], in memory shared with the processes that this one starts.

    Forked processes inherit it, which avoids the small /dev/shm of containers. Elsewhere torch
    passes it to them.
    """
    if not size:
        return torch.zeros(0, dtype=torch.uint8)
    try:
        if multiprocessing.get_context().get_start_method() == "fork":
            return torch.frombuffer(mmap.mmap(-1, size), dtype=torch.uint8)
        shared: Tensor = torch.zeros(size, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
        return shared
    except (OSError, RuntimeError, MemoryError) as error:
        raise DlcvError(
            f"data.cache: the system cannot share {_mib(size)} MiB of memory between processes: "
            f"{error}",
            "choose a smaller limit, or turn the cache off with --set data.cache=0; a container "
            "may need a larger --shm-size",
        ) from error
