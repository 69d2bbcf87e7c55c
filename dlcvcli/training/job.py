"""The contract between a task and `training.run`: data, network, batches and validation.

`training.run` knows no task. It creates the run folder, resumes, trains and writes the results, and
calls the job for everything else.
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
    """What the data of every task has in common."""

    @property
    def layout(self) -> str:
        """The recognised layout of the folder, in one line."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on the data for the user, one line each."""

    @property
    def sha256(self) -> dict[str, str]:
        """Fingerprint of each split."""

    @property
    def seen(self) -> SeenImages:
        """The images of each split."""

    @property
    def root(self) -> Path:
        """The data folder."""

    def as_dict(self) -> dict[str, Any]:
        """Return the description for a checkpoint, including `sha256`, as plain types."""


class Job(ABC):
    """A training run of one task.

    Attributes:
        scores: the scores of the task; the first one selects the best checkpoint.
        settings: resolved settings.
        data: checked and fingerprinted data.
        seen: the images of the run and those that its initial weights were trained on.
        model_name: name of the network.
        weights: initial weights of a new network: `none`, `imagenet` or a file.
        batch: description of a batch, e.g. ``8 at 176x240``.
        steps_per_epoch: complete batches in an epoch.
        smaller, larger: advice for a batch that is too large or too small.
    """

    scores: ClassVar[tuple[Score, ...]]
    smaller: ClassVar[str] = "a smaller --batch-size or --crop"
    larger: ClassVar[str] = "a larger --batch-size or --crop"
    model_name: str
    weights: str
    batch: str
    steps_per_epoch: int
    settings: RunSettings
    data: JobData
    seen: SeenImages

    @abstractmethod
    def build_task(self, *, fresh: bool) -> Task:
        """Build the task; without `fresh`, initial weights are not loaded, since a run resumes."""

    def accept_weights(self, checkpoint: Checkpoint, source: str, *, allow_seen: bool) -> None:
        """Record which images the initial weights of the run were trained on.

        Args:
            checkpoint: the checkpoint with the weights.
            source: the user's flag and value, e.g. `--init runs/first`.
            allow_seen: accept weights that were trained on validation or test images of this run.

        Raises:
            UsageError: the weights were trained on such images, without `allow_seen`.
        """
        trained_on = seen_images_of(checkpoint, source)
        self.seen = self.seen.beginning_from(trained_on, source, allow=allow_seen)

    def warnings(self) -> list[str]:
        """Return reasons why the scores of the run may mislead, one line each."""
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
        """Return the validation; each rank validates a part of the images."""

    @abstractmethod
    def score_best(self, run: RunFolder, launcher: Launcher) -> dict[str, Any]:
        """Evaluate the best checkpoint in float32; return plain types."""

    def describe_final(self, metrics: dict[str, Any]) -> str:
        """Return what the best checkpoint was scored on, for the log.

        Args:
            metrics: as `score_best` returned them.
        """
        return f"{metrics['checkpoint']} in fp32 ({metrics['split']})"

    def hooks(self, run: RunFolder) -> list[Hooks]:
        """Return hooks of the task, beside those for the log and the progress bar.

        Raises:
            UsageError: a hook cannot be built from the settings, e.g. an image is missing.
        """
        return []

    def lines(self, task: Any, launcher: Launcher) -> list[str]:
        """Return further log lines for the start of the run."""
        return []

    def draw(self, run: RunFolder, steps_per_epoch: int) -> None:
        """Draw the figures of the run folder: the curves of the loss and of the main score."""
        if any(run.read_metrics()):
            save(curves({run.path.name: run}, self.scores[0]), run.figures / "curves.png")
