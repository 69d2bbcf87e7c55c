"""What a training run needs from a task: its data, its network, its batches, its validation.

`training.run` knows no task. It makes the run folder, resumes, trains and writes the results, and
calls the job for the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Protocol

from dlcvcli.config.schema import RunSettings
from dlcvcli.data.seen_images import SeenImages
from dlcvcli.engine.checkpoint import Checkpoint, load_checkpoint, seen_images_of
from dlcvcli.engine.fit import StepSource, Validate
from dlcvcli.engine.hooks import Hooks
from dlcvcli.engine.launch import Launcher
from dlcvcli.engine.task import Task
from dlcvcli.errors import CheckpointError
from dlcvcli.figures.curves import curves
from dlcvcli.figures.style import save
from dlcvcli.models.averaging import evaluated_weights
from dlcvcli.runs import RunFolder
from dlcvcli.scores import Score


class JobData(Protocol):
    """The data of a run, as far as every task's is alike."""

    @property
    def layout(self) -> str:
        """The layout that the folder was recognised as, in one line."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know of the data, line by line."""

    @property
    def sha256(self) -> dict[str, str]:
        """Split -> fingerprint."""

    @property
    def seen(self) -> SeenImages:
        """Its images, by split."""

    @property
    def root(self) -> Path:
        """The folder that it was found in."""

    def as_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of it, as plain types, `sha256` among them."""


class Job(ABC):
    """A training of one task: its settings and its data.

    Attributes:
        scores: what the task is judged by; `best` is chosen by the first.
        settings: resolved.
        data: checked and fingerprinted.
        seen: the images of the run, with those that its initial weights were trained on.
        model_name: the network's name.
        weights: `none`, `imagenet`, or the file that fills a new network.
        batch: what a batch is made of, e.g. ``8 at 176x240``.
        smaller, larger: what to choose where a batch is too large or too small.
    """

    scores: ClassVar[tuple[Score, ...]]
    smaller: ClassVar[str] = "a smaller --batch-size or --crop"
    larger: ClassVar[str] = "a larger --batch-size or --crop"
    model_name: str
    weights: str
    batch: str
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
        """Record which images the initial weights of the run were trained on.

        Args:
            checkpoint: of the weights.
            source: how the user named it, e.g. `--init runs/first`.
            allow_seen: accept images that this run is validated or tested on.

        Raises:
            UsageError: there are such images, and they are not accepted.
        """
        theirs = seen_images_of(checkpoint, source)
        self.seen = self.seen.beginning_from(theirs, source, allow=allow_seen)

    def warnings(self) -> list[str]:
        """Return why the scores of the run may mislead, line by line."""
        return self.seen.warnings()

    def take_weights(self, task: Any, path: Path) -> str:
        """Load a checkpoint's weights, averaged ones where it has them; return a line on them.

        Tensors of another shape, such as a head for other classes, stay random.

        Args:
            task: an `AveragedTask`.
            path: the checkpoint.

        Raises:
            CheckpointError: most of them do not fit.
        """
        state = evaluated_weights(load_checkpoint(path)["task"])
        own = task.network.state_dict()
        fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
        if len(fitting) < len(own) / 2:
            raise CheckpointError(
                f"--init {path} does not fit the model: {len(fitting)} of {len(own)} tensors match",
                "choose the --model that it was trained with",
            )
        task.load_network({**own, **fitting})
        left = sorted(own.keys() - fitting.keys())
        note = f"; random: {', '.join(left[:4])}" if left else ""
        return f"took {len(fitting)} of {len(own)} tensors from {path}{note}"

    @abstractmethod
    def batches(self, launcher: Launcher) -> StepSource:
        """Return the training batches."""

    @abstractmethod
    def validation(self, launcher: Launcher) -> Validate:
        """Return the validation, which the ranks share."""

    @abstractmethod
    def score_best(self, run: RunFolder, launcher: Launcher) -> dict[str, Any]:
        """Evaluate the best checkpoint in float32; return plain types."""

    def hooks(self, run: RunFolder) -> list[Hooks]:
        """Return what watches the training beside log and progress.

        Raises:
            UsageError: the settings ask for something that cannot be watched.
        """
        return []

    def lines(self, task: Any, launcher: Launcher) -> list[str]:
        """Return what else the log says before training begins."""
        return []

    def draw(self, run: RunFolder, steps_per_epoch: int) -> None:
        """Draw the figures of the run folder: the curves of the loss and of the main score."""
        if any(run.read_metrics()):
            save(curves({run.path.name: run}, self.scores[0]), run.figures / "curves.png")
