"""Compare what dlcv's training reaches with a peer's network in a plain loop, on the same images.

    python benchmarks/peer_training.py --data CAMVID --out FOLDER [--only dlcv|smp] [--seed 0]
        [--epochs 15 | --steps N] [--shared KEY=VALUE]... [--set KEY=VALUE]...

trains DeepLabV3+ on MobileNetV2 twice, from random weights
- dlcv: `dlcv train seg --recipe camvid`, with the settings of `--shared` and `--set`
- smp: `segmentation_models_pytorch.DeepLabV3Plus` in a loop of forward, cross-entropy, backward
  and step, with the recipe's batches (the same images in the same order), crop, optimiser, learning
  rate and schedule, with the settings of `--shared` (e.g. data.crop=128x160), and `PEER_AUGMENT`

and writes the validation mIoU after every epoch, or with `--steps` after the last step only, to
FOLDER/NAME.json. Both are scored in the same way: one confusion matrix over the set, at the
annotations' own size. Needs `pip install segmentation-models-pytorch`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlcvcli.config.load import resolve
from dlcvcli.config.schema import AugmentSettings
from dlcvcli.data.augment import SegmentationAugment
from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.loader import TrainingBatches, TrainingImages
from dlcvcli.data.normalise import MEAN_COLOUR
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.engine.optim import lr_factor
from dlcvcli.metrics import SegmentationScore
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.tasks.segmentation.data import TrainingData, check_training_data, resolve_settings
from dlcvcli.tasks.segmentation.scoring import score
from dlcvcli.tasks.segmentation.settings import TrainSegSettings

# Fixed, so that a change of the recipe does not change what it is compared with: random scale,
# crop, flip, and colour jitter of 0.25.
PEER_AUGMENT = AugmentSettings(scale=(0.75, 1.5))


def _settings(options: argparse.Namespace) -> tuple[TrainSegSettings, TrainingData]:
    flags = {
        "data.path": str(options.data),
        "data.audit": False,
        "train.seed": options.seed,
        f"train.{options.unit}": options.length,
    }
    settings = resolve(TrainSegSettings, recipe="camvid", flags=flags, sets=options.shared)
    data = check_training_data(settings.data, options.seed)
    return resolve_settings(settings, data.train), data


class Peer(nn.Module):
    """SMP's network with the output that `Segmenter` expects."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp

        self.net = smp.DeepLabV3Plus(
            "mobilenet_v2", encoder_weights=None, encoder_output_stride=16, classes=classes
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return float logits [N, classes, H, W] as `out`."""
        return {"out": self.net(x)}


def train_smp(options: argparse.Namespace) -> list[float]:
    """Return the validation mIoU after every epoch, or after the last step."""
    settings, data = _settings(options)
    assert settings.data.crop is not None
    classes = data.classes
    augment = SegmentationAugment(
        PEER_AUGMENT, settings.data.crop, MEAN_COLOUR, classes.ignore_index
    )
    plan = BatchPlan(len(data.train), settings.train.batch_size, options.seed)
    batches = TrainingBatches(TrainingImages(data.train, augment, options.seed), plan, workers=1)
    torch.manual_seed(options.seed)
    segmenter = Segmenter(Peer(len(classes)), 16)
    segmenter.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(
        segmenter.parameters(), lr=settings.optim.lr, weight_decay=settings.optim.weight_decay
    )
    criterion = nn.CrossEntropyLoss(ignore_index=classes.ignore_index)
    by_step = options.unit == "steps"
    total = options.length * (1 if by_step else plan.steps_per_epoch)
    every = total if by_step else plan.steps_per_epoch
    scores = []
    for step, batch in enumerate(batches.steps(0, total, rank=0, world_size=1)):
        lr = settings.optim.lr * lr_factor(step, total, settings.schedule, settings.optim.lr)
        for group in optimizer.param_groups:
            group["lr"] = lr
        segmenter.train()
        logits = segmenter.network_outputs(batch["images"])["out"]
        loss = criterion(logits, batch["masks"].long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % every == 0:
            scores.append(_validate(segmenter, data))
            print(f"step {step + 1}: loss {loss.item():.4f}, mIoU {scores[-1]:.4f}", flush=True)
    return scores


@torch.inference_mode()
def _validate(segmenter: Segmenter, data: TrainingData) -> float:
    def forward(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return np.asarray(segmenter.eval()(torch.from_numpy(images.copy()), size).numpy())

    counts = score(forward, EvalBatches(data.val, 8))
    return float(SegmentationScore(data.classes, counts).compute()["miou"])


def train_dlcv(options: argparse.Namespace) -> list[float]:
    """Return the validation mIoU after every epoch, or after the last step."""
    run = options.out / "dlcv"
    flags = ["--data", options.data, "--recipe", "camvid", "--seed", options.seed, "--out", run]
    flags += [f"--{options.unit}", options.length]
    if options.unit == "steps":
        flags += ["--set", f"train.val_every={options.length}"]
    for setting in (*options.shared, *options.set):
        flags += ["--set", setting]
    command = [sys.executable, "-m", "dlcvcli", "train", "seg", *map(str, flags)]
    subprocess.run(command, check=True)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [record["miou"] for record in records if record["split"] == "val"]


def main() -> None:
    """Train both, or one of them, and write the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--steps", type=int, help="instead of epochs; score once, at the end")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("dlcv", "smp"))
    parser.add_argument("--shared", action="append", default=[], help="KEY=VALUE, of both")
    parser.add_argument("--set", action="append", default=[], help="a setting of dlcv: KEY=VALUE")
    options = parser.parse_args()
    options.unit = "epochs" if options.steps is None else "steps"
    options.length = getattr(options, options.unit)
    options.out.mkdir(parents=True, exist_ok=True)
    for name, train in (("dlcv", train_dlcv), ("smp", train_smp)):
        if options.only in {None, name}:
            started = time.perf_counter()
            curve = train(options)
            result: dict[str, Any] = {
                "contender": name,
                "best_miou": max(curve),
                "miou": curve,
                options.unit: options.length,
                "seed": options.seed,
                "seconds": round(time.perf_counter() - started, 1),
            }
            text = json.dumps(result, indent=2) + "\n"
            (options.out / f"{name}.json").write_text(text)
            print(text)


if __name__ == "__main__":
    main()
