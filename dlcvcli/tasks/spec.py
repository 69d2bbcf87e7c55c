"""What a task is: everything in which one differs from another, in one place.

The functions of a spec import what they need when they are called, so that the table of tasks costs
nothing when `dlcv --help` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dlcvcli.flags import ExportFlags, Flags, ModelFlags
from dlcvcli.reporter import Reporter
from dlcvcli.scores import Score
from dlcvcli.tasks.flags import TrainFlags

if TYPE_CHECKING:
    from dlcvcli.config.schema import RunSettings
    from dlcvcli.engine.checkpoint import Checkpoint
    from dlcvcli.exporting.subject import Subject
    from dlcvcli.inference.evaluation import Evaluator
    from dlcvcli.inference.features import FeatureRequest, Features
    from dlcvcli.inference.prediction import Predict
    from dlcvcli.outcomes.spec import StudySpec
    from dlcvcli.runtime.metadata import ModelCard
    from dlcvcli.training.job import Job, JobData

Run = Callable[[Any, Reporter], list[str]]


@dataclass(frozen=True)
class TaskFlags:
    """The flags of the commands; None where a task does not have the command."""

    train: type[TrainFlags]
    eval: type[ModelFlags] | None = None
    predict: type[ModelFlags] | None = None
    export: type[ExportFlags] | None = None


@dataclass(frozen=True)
class Command:
    """A command of one task, beyond those that all tasks have.

    Attributes:
        group: `figure` or `data`, the group of commands that it belongs to.
        name: as typed.
        help: what it does, in one sentence.
        examples: command lines, as typed.
        flags: its flags and arguments.
        run: draws or writes, and returns lines for stdout.
    """

    group: str
    name: str
    help: str
    examples: tuple[str, ...]
    flags: type[Flags]
    run: Run


class Prepare(Protocol):
    """Opens and checks the data of a run, and resolves the settings that depend on it."""

    def __call__(
        self, settings: Any, reporter: Reporter, *, known: bool
    ) -> tuple[RunSettings, JobData]:
        """Return resolved settings and data; needs no torch, so that errors come within a second.

        Args:
            settings: of the run, as the user gave them.
            reporter: receives progress.
            known: the data was checked before, by the run that is resumed or by rank 0.

        Raises:
            DataError: the data cannot be used.
            UsageError: settings that do not fit it.
        """
        ...


@dataclass(frozen=True)
class SubjectRequest:
    """A checkpoint to export.

    Attributes:
        path: the file.
        checkpoint: what it holds.
        sha256: of the file.
        flags: those of the task, as typed.
    """

    path: Path
    checkpoint: Checkpoint
    sha256: str
    flags: Any


@dataclass(frozen=True)
class TaskSpec:
    """One task.

    Attributes:
        name: as in `dlcv train NAME`.
        noun: what its models are called, with an article, e.g. `a few-shot model`.
        trains: what `dlcv train NAME --help` says that it does.
        examples: command -> command lines, for the help of train, eval, predict and export.
        networks: what the networks that it trains give: `masks` or `vectors`.
        scores: what its models are judged by; the first chooses the best checkpoint.
        flags: see `TaskFlags`.
        settings: the class of the settings of a run.
        card: the class of what its model files say of themselves.
        prepare: see `Prepare`.
        job: returns the training of resolved settings and data.
        evaluator: scores its models; None where they have no scores of their own.
        predict: see `inference.prediction.Predict`; None where models predict nothing.
        subject: returns what an export traces and certifies; None where nothing is exported.
        features: computes the features of labelled images, for figures of them; None where models
            have no one vector for an image.
        study: how studies of it are made and reported; None where there are none.
        commands: figures and the like that only this task has.
    """

    name: str
    noun: str
    trains: str
    examples: Mapping[str, tuple[str, ...]]
    networks: str
    scores: tuple[Score, ...]
    flags: TaskFlags
    settings: Callable[[], type[RunSettings]]
    card: Callable[[], type[ModelCard]]
    prepare: Prepare
    job: Callable[[Any, Any], Job]
    evaluator: Callable[[], Evaluator] | None = None
    predict: Predict | None = None
    subject: Callable[[SubjectRequest], Subject] | None = None
    features: Callable[[FeatureRequest, Reporter], Features] | None = None
    study: Callable[[], StudySpec] | None = None
    commands: tuple[Command, ...] = ()
