"""The same bits from run to run, on a GPU too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Of the two settings with which cuBLAS repeats its sums exactly, the one for speed; read when CUDA
# is first used (cuBLAS documentation, section 2.1.4, "Results Reproducibility").
_CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def deterministic_algorithms(enabled: bool = True) -> Iterator[None]:
    """Let PyTorch choose only algorithms that give the same bits each time.

    On a CPU, dlcv's training has that property anyway. On a GPU, the gradient of the bilinear
    resize and sums over many threads depend on the order in which these end; their exact
    replacements are slower. Where an operation has none, PyTorch warns and names it.

    Args:
        enabled: False leaves everything as it is.
    """
    if not enabled:
        yield
        return
    os.environ.setdefault(*_CUBLAS)
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
    )
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Which convolution is fastest is a matter of timing.
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = before[2]
