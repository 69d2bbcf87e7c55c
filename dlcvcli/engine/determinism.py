"""Bit-identical results from run to run, also on GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# The faster of the two values that make cuBLAS deterministic; cuBLAS reads it when CUDA is first
# used (cuBLAS documentation, section 2.1.4, "Results Reproducibility").
_CUBLAS = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


@contextmanager
def deterministic_algorithms(enabled: bool = True) -> Iterator[None]:
    """Restrict PyTorch to deterministic algorithms inside the `with` block.

    Training on a CPU is deterministic without it. On a GPU, the gradient of bilinear resizing and
    sums over many threads depend on the order in which threads finish; the deterministic
    replacements are slower. PyTorch warns about operations that have none.

    Args:
        enabled: False: change nothing.
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
    # It chooses convolution algorithms by timing them, which differs from run to run.
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = before[2]
