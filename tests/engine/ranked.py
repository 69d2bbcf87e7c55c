"""Program that `test_ranks.py` runs on each rank: python -m tests.engine.ranked FOLDER.

The environment sets the rank, as torchrun does. Rank 0 writes the results into FOLDER.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dlcvcli.config.load import resolve
from dlcvcli.engine.launch import Launcher, launch
from dlcvcli.engine.task import Batch, Outcome
from dlcvcli.errors import NonFiniteLoss
from dlcvcli.models.build import build_network
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.tasks.segmentation.data import check_training_data
from dlcvcli.tasks.segmentation.job import SegmentationJob
from dlcvcli.tasks.segmentation.settings import TrainSegSettings
from dlcvcli.tasks.segmentation.task import SegmentationTask
from tests.engine.tiny import TinyTask, tiny_fit, tiny_settings
from tests.model_contract import randomise_heads

STEPS = 10


def exact_task() -> TinyTask:
    """Return a task without dropout and BatchNorm: its gradient is that of the complete batch."""
    torch.manual_seed(0)
    return TinyTask(dropout=0.0, batch_norm=False)


def train(folder: Path, launcher: Launcher, *, parts: int, steps: int = STEPS) -> dict[str, Tensor]:
    """Train some steps, with a checkpoint between two records, and return the weights."""
    settings = tiny_settings(steps=steps, log_every=3, save_every=5)
    settings = settings.model_copy(
        update={"optim": settings.optim.model_copy(update={"accumulate": parts, "clip_norm": 1.0})}
    )
    task, _, _ = tiny_fit(folder, settings=settings, task=exact_task(), launcher=launcher)
    return task.state_dict()


def validate(data: Path, launcher: Launcher) -> dict[str, Any]:
    """Return the scores of a network with random weights on images of several sizes."""
    flags = {"data.path": str(data), "train.batch_size": 4, "train.val_batch_size": 2}
    settings = resolve(TrainSegSettings, flags=flags)
    job = SegmentationJob(settings, check_training_data(settings.data, 0, known=True))
    val = job.data.val
    torch.manual_seed(0)
    network = build_network("lraspp_mobilenet_v3_large", num_classes=len(val.classes))
    randomise_heads(network)
    task = SegmentationTask(Segmenter(network, 16), val.classes).eval()
    with torch.inference_mode():
        scores = job.validation(launcher)(task, lambda: False)
    assert scores is not None
    return scores


def score_of(task: TinyTask, rank: int, ranks: int) -> float:
    """Return a number that depends on all weights and statistics, from this rank's images."""
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    return float(task.net(images[rank::ranks]).double().square().sum())


def train_with_batch_norm(folder: Path, launcher: Launcher) -> None:
    """Train and validate a network whose BatchNorm statistics differ between ranks."""

    def validate(task: Any, stop: Any) -> dict[str, Any]:
        own = score_of(task, launcher.rank, launcher.world_size)
        return {"miou": float(launcher.sum(torch.tensor(own, dtype=torch.float64)))}

    settings = tiny_settings(steps=3, val_every=3, save_every=3)
    torch.manual_seed(0)
    tiny_fit(folder, settings=settings, task=TinyTask(), launcher=launcher, validate=validate)


def meet_bad_loss(folder: Path, launcher: Launcher) -> str:
    """Train with a non-finite loss on the last rank only, and return the error message."""

    class Bad(TinyTask):
        def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
            outcome = super().forward(batch, normaliser)
            self.seen = getattr(self, "seen", 0) + 1
            if self.seen == 3 and launcher.rank == launcher.world_size - 1:
                outcome["loss"] = outcome["loss"] * torch.inf
            return outcome

    class PolledLikeGpu(str):
        """The CPU, but the engine reads losses from it as rarely as from a GPU."""

        type = "cuda"

    device, launcher.device = launcher.device, PolledLikeGpu("cpu")  # type: ignore[assignment]
    settings = tiny_settings(steps=9, log_every=4)
    try:
        tiny_fit(folder, settings=settings, task=Bad(batch_norm=False), launcher=launcher)
    except NonFiniteLoss as error:
        return error.message
    finally:
        launcher.device = device
    return "no error"


def main(folder: Path) -> None:
    """Run all experiments."""
    torch.set_num_threads(1)
    launcher = launch(precision="fp32")
    weights = {
        f"{parts} parts": train(folder / f"parts-{parts}", launcher, parts=parts)
        for parts in (1, 2)
    }
    scores = validate(folder / "data", launcher)
    train_with_batch_norm(folder / "batch-norm", launcher)
    bad = meet_bad_loss(folder / "bad", launcher)
    largest_rank = launcher.max(torch.tensor([launcher.rank]))
    if launcher.is_main:
        torch.save(weights, folder / "weights.pt")
        results = {
            "scores": scores,
            "ranks": launcher.world_size,
            "largest_rank": int(largest_rank),
            "bad_loss": bad,
        }
        (folder / "results.json").write_text(json.dumps(results))
    launcher.barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
