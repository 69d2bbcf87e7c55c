"""What a kind of training brings to a run: its task, batches, validation and figures.

`training.run` knows no segmentation: it makes the folder, resumes, trains, writes the results, and
asks the job for what differs from one kind to the next.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from dlcvcli.config.schema import RunSettings
from dlcvcli.data.seen_images import SeenImages
from dlcvcli.engine.checkpoint import Checkpoint, seen_images_of
from dlcvcli.engine.fit import StepSource, Validate
from dlcvcli.engine.hooks import Hooks
from dlcvcli.engine.launch import Launcher
from dlcvcli.engine.task import Task
from dlcvcli.runs import RunFolder


class JobData(Protocol):
    """What a run must know of its data, whatever it is.

    Attributes:
        layout: what the folder was recognised as, in one line.
        remarks: what is worth saying of it, line by line.
        sha256: split -> fingerprint.
        seen: its images.
    """

    @property
    def layout(self) -> str:
        """See the class."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """See the class."""

    @property
    def sha256(self) -> dict[str, str]:
        """See the class."""

    @property
    def seen(self) -> SeenImages:
        """See the class."""

    @property
    def root(self) -> Path:
        """The folder that it was found in."""

    def as_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it, as plain types, `sha256` among them."""


class Job(ABC):
    """One kind of training with its settings and its data.

    Attributes:
        settings: resolved.
        data: checked and fingerprinted.
        seen: the images of the run, with those that the weights it begins from were trained on.
        monitor: the metric by which `best` is chosen; higher is better.
        model_name: what users call the network.
        weights: `none`, `imagenet`, or the file that fills a new network.
        batch: in words, what a batch is made of, such as ``8 at 176x240``.
        smaller, larger: in words, what to choose where a batch is too large or too small.
    """

    monitor: str
    model_name: str
    weights: str
    batch: str
    smaller: str = "a smaller --batch-size or --crop"
    larger: str = "a larger --batch-size or --crop"
    settings: RunSettings
    data: JobData
    seen: SeenImages

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Full batches in an epoch."""

    @abstractmethod
    def build_task(self, *, fresh: bool) -> Task:
        """Build the task; one that is resumed takes its weights from the checkpoint alone."""

    def accept_weights(self, checkpoint: Checkpoint, source: str, *, allow_seen: bool) -> None:
        """Note what the weights that the run begins from were trained on.

        Args:
            checkpoint: theirs.
            source: how the user named it, e.g. `--init runs/first`.
            allow_seen: whether that may be what this run is validated or tested on.

        Raises:
            UsageError: it is, and may not be.
        """
        theirs = seen_images_of(checkpoint, source)
        self.seen = self.seen.beginning_from(theirs, source, allow=allow_seen)

    def warnings(self) -> list[str]:
        """Return why the scores of the run are not what they seem, line by line."""
        return self.seen.warnings()

    @abstractmethod
    def take_weights(self, task: Any, path: Path) -> str:
        """Start from another run's weights; return a line that says what was taken.

        Raises:
            CheckpointError: they do not fit.
        """

    @abstractmethod
    def network_of(self, task: Any) -> nn.Module:
        """Return the part of a task that is a user's model: what is counted and exported."""

    @abstractmethod
    def batches(self, launcher: Launcher) -> StepSource:
        """Return the training batches."""

    @abstractmethod
    def validation(self, launcher: Launcher) -> Validate:
        """Return the validation; ranks share it."""

    @abstractmethod
    def score_best(self, run: RunFolder, launcher: Launcher) -> dict[str, Any]:
        """Evaluate a run's best weights once more, in float32; return plain types."""

    def hooks(self, run: RunFolder) -> list[Hooks]:
        """Return what watches the training beside log and progress.

        Raises:
            UsageError: the settings ask for something that cannot be watched.
        """
        return []

    def lines(self, task: Any, launcher: Launcher) -> list[str]:
        """Return what else the log shall say before training begins."""
        return []

    @abstractmethod
    def draw(self, run: RunFolder, steps_per_epoch: int) -> None:
        """Draw what the run folder holds."""
