"""The alternatives to `dlcv eval`: PyTorch eager and compiled, and torchvision's evaluation.

All of them run the weights of one checkpoint, on the device that `--provider` names.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from synthetic_tiles import data_of, run_of
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.v2 import functional

from dlcvcli.data.masks import read_mask
from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.data.segmentation import SegmentationSet, open_split
from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.machine import usable_cores
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.tasks.segmentation.torch import load_segmenter


def _segmenter(options: argparse.Namespace, *, channels_last: bool) -> Segmenter:
    # TF32 off: float32 means float32 for every contender.
    torch.backends.cudnn.allow_tf32 = False
    segmenter = load_segmenter(load_checkpoint(run_of(options).best)).to(options.provider)
    if channels_last:
        return segmenter.to(memory_format=torch.channels_last)
    segmenter.network.register_forward_pre_hook(lambda module, args: (args[0].contiguous(),))
    return segmenter


def torch_forward(
    options: argparse.Namespace,
    *,
    channels_last: bool = False,
    bf16: bool = False,
    compiled: bool = False,
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a PyTorch function from prepared batches to masks."""
    segmenter = _segmenter(options, channels_last=channels_last)
    network: nn.Module = torch.compile(segmenter) if compiled else segmenter
    size = (options.side, options.side)

    def forward(images: np.ndarray) -> np.ndarray:
        with (
            torch.inference_mode(),
            torch.autocast(options.provider, torch.bfloat16, enabled=bf16),
        ):
            return network(torch.from_numpy(images).to(options.provider), size).cpu().numpy()

    return forward


class _Files(Dataset[tuple[Tensor, Tensor]]):
    """Normalised float images and masks, one by one, as torchvision's references read them."""

    def __init__(self, data: SegmentationSet) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with Image.open(self.data.pairs[index].image) as file:
            image = functional.pil_to_tensor(file.convert("RGB"))
        image = functional.to_dtype(image, torch.float32, scale=True)
        image = functional.normalize(image, list(MEAN), list(STD))
        # These masks are colour images and the reference reads class ids, so dlcv reads them.
        mask = read_mask(self.data.pairs[index].mask, self.data.classes)
        return image, torch.from_numpy(mask).long()


def reference_evaluation(options: argparse.Namespace) -> float:
    """Return the images/s of the evaluation in torchvision's segmentation reference.

    Files through a `DataLoader` with workers, one image at a time, eager float32, a confusion
    matrix by `bincount` on the device (pytorch/vision, references/segmentation/train.py, evaluate).
    """
    data = open_split(data_of(options), "val")
    network = _segmenter(options, channels_last=False).network
    classes = len(data.classes)
    counts = torch.zeros(classes, classes, dtype=torch.int64, device=options.provider)
    loader = DataLoader(_Files(data), batch_size=1, num_workers=usable_cores())
    with torch.inference_mode():
        network(torch.zeros(1, 3, options.side, options.side, device=options.provider))
        started = time.perf_counter()
        for images, masks in loader:
            target = masks.to(options.provider).flatten()
            predicted = network(images.to(options.provider))["out"].argmax(1).flatten()
            valid = target < classes
            code = classes * target[valid] + predicted[valid]
            counts += torch.bincount(code, minlength=classes**2).reshape(classes, classes)
        counts.cpu()
        return len(data) / (time.perf_counter() - started)
