"""Compare dlcv's training step with that of torchvision's reference script, on the same network.

    python benchmarks/reference_step.py [--side 128] [--batch-size 4]

measures images/s of DeepLabV3 on ResNet-50 at output stride 8 with its auxiliary head. Both
networks are the same: a test checks that the same weights give the same logits.
- dlcv engine: `fit` with its logging, from a data source that returns one prepared batch
- torchvision reference: the step of `references/segmentation/train.py`: forward, cross-entropy of
  both heads, backward, SGD, a poly schedule by `LambdaLR`, `loss.item()`; its batch is prepared and
  normalised, as by its transforms
- torchvision, AdamW: the same with the optimiser that dlcv has by default
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import torch
from common import main
from torch.nn import functional as F
from torchvision.models.segmentation import deeplabv3_resnet50
from train_step import CLASSES, arguments, batch_of, engine


def _arguments(parser: argparse.ArgumentParser) -> None:
    arguments(parser)
    parser.set_defaults(
        model="deeplabv3_resnet50",
        model_options={"output_stride": 8, "auxiliary": True},
        side=128,
    )


def reference(options: argparse.Namespace, *, adamw: bool = False) -> float:
    """Return the images/s of torchvision's step, without the first."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    model = deeplabv3_resnet50(
        weights=None, weights_backbone=None, num_classes=len(CLASSES), aux_loss=True
    )
    model.to(device).train()
    parameters = [
        {"params": [*model.backbone.parameters(), *model.classifier.parameters()]},
        {"params": [*model.aux_classifier.parameters()], "lr": 0.02},
    ]
    if adamw:
        optimizer: torch.optim.Optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    else:
        optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4)
    total = options.steps + 1
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: (1 - step / (total + 1)) ** 0.9
    )
    batch = batch_of(options)
    images = batch["images"].to(device).permute(0, 3, 1, 2).contiguous().float() / 255
    target = batch["masks"].to(device).long()
    bf16 = options.precision == "bf16"
    started = 0.0
    for step in range(total):
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            output = model(images)
            losses = {
                name: F.cross_entropy(x, target, ignore_index=255) for name, x in output.items()
            }
            loss = losses["out"] + 0.5 * losses["aux"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        loss.item()
        if step == 0:
            started = time.perf_counter()
    return options.steps * options.batch_size / (time.perf_counter() - started)


if __name__ == "__main__":
    main(
        "training step beside torchvision's reference",
        "images/s",
        {
            "dlcv engine": engine,
            "torchvision reference": reference,
            "torchvision, AdamW": partial(reference, adamw=True),
        },
        _arguments,
    )
