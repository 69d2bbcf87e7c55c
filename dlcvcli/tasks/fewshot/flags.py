"""Flags that few-shot learning has, beyond those of every task. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlcvcli.config.names import DistanceName, OptimizerName, Provider, ScheduleName
from dlcvcli.flags import ExportFlags, Flags, ModelFlags, argument, flag
from dlcvcli.tasks.flags import (
    DATA,
    MODEL,
    OPTIM,
    TrainFlags,
    allow_outside_flag,
    min_accuracy_flag,
    networks,
    predicted_data_flag,
    predictions_flag,
)

FEWSHOT, EPISODES = "Few-shot", "Episodes"

SPLITS = "Which class is in which split: vinyals, or a CSV file with the columns class,split."


@dataclass(frozen=True)
class TrainFewshotFlags(TrainFlags):
    """Flags of `dlcv train fewshot`."""

    data: Path | None = flag(
        "Folder of images by class, e.g. omniglot.", panel=DATA, setting="data.path"
    )
    size: str | None = flag(
        "Stretch every image to this size, HxW in pixels.",
        panel=DATA,
        setting="data.size",
        default="Omniglot 28x28, else 84x84",
    )
    model: str | None = flag(
        "Name of the encoder; `dlcv models` lists them.",
        panel=MODEL,
        setting="model.name",
        default="conv4",
        complete=networks("vectors"),
    )
    batch_size: int | None = flag(
        "Episodes of a step, over all devices.",
        panel=OPTIM,
        setting="train.batch_size",
        default="1",
    )
    optimizer: OptimizerName | None = flag(
        "Optimiser that updates the weights.", panel=OPTIM, setting="optim.name", default="adam"
    )
    schedule: ScheduleName | None = flag(
        "How the learning rate changes with the step.",
        panel=OPTIM,
        setting="schedule.name",
        default="step: halved every 2000",
    )
    splits: str | None = flag(
        SPLITS, panel=DATA, setting="data.splits", default="as the folder implies"
    )
    rotations: Literal["none", "train", "all"] | None = flag(
        "Add images rotated by 90, 180 and 270 degrees as classes of their own.",
        panel=DATA,
        setting="data.rotations",
        default="none",
    )
    n_way: int | None = flag(
        "Classes of a training episode.", panel=EPISODES, setting="episode.n_way", default="5"
    )
    k_shot: int | None = flag(
        "Support images of each class.", panel=EPISODES, setting="episode.k_shot", default="1"
    )
    n_query: int | None = flag(
        "Query images of each class.", panel=EPISODES, setting="episode.n_query", default="15"
    )
    test_n_way: int | None = flag(
        "Classes of an episode in validation and test.",
        panel=EPISODES,
        setting="episode.test_n_way",
        default="--n-way",
    )
    test_k_shot: int | None = flag(
        "Support images of each class in validation and test.",
        panel=EPISODES,
        setting="episode.test_k_shot",
        default="--k-shot",
    )
    test_n_query: int | None = flag(
        "Query images of each class in validation and test.",
        panel=EPISODES,
        setting="episode.test_n_query",
        default="--n-query",
    )
    episodes: int | None = flag(
        "Number of training steps; a step is one episode, or --batch-size of them.",
        panel=EPISODES,
        setting="train.steps",
        default="10000",
    )
    distance: DistanceName | None = flag(
        "Distance from a query to a prototype.",
        panel=MODEL,
        setting="distance.name",
        default="euclidean",
    )
    patience: int | None = flag(
        "End after this many validations without a better score.",
        panel=OPTIM,
        setting="train.patience",
        default="never",
    )


@dataclass(frozen=True)
class EpisodeFlags(Flags):
    """Flags that say which episodes a model is tested on."""

    n_way: int | None = flag("Classes of an episode.", panel=FEWSHOT, least=2, default="as trained")
    k_shot: int | None = flag(
        "Support images of each class.", panel=FEWSHOT, least=1, default="as trained"
    )
    n_query: int | None = flag(
        "Query images of each class.", panel=FEWSHOT, least=1, default="as trained"
    )
    seed: int | None = flag("Seed of the drawn episodes.", panel=FEWSHOT, least=0, default="0")
    rotations: bool | None = flag(
        "Add rotated images as classes of their own.",
        "--rotations/--no-rotations",
        panel=FEWSHOT,
        default="as trained",
    )
    splits: str | None = flag(SPLITS, panel=FEWSHOT, default="as the folder implies")
    allow_outside: bool | None = allow_outside_flag()


@dataclass(frozen=True)
class EvalFewshotFlags(EpisodeFlags, ModelFlags):
    """Flags of `dlcv eval` for few-shot models."""

    episodes: str | None = flag(
        "An episode file, or how many episodes to draw.",
        panel=FEWSHOT,
        metavar="FILE|N",
        default="2000",
    )
    min_accuracy: float | None = min_accuracy_flag()
    predictions: Path | None = predictions_flag()


@dataclass(frozen=True)
class PredictFewshotFlags(ModelFlags):
    """Flags of `dlcv predict` for few-shot models."""

    data: Path | None = predicted_data_flag()
    split: str | None = flag(
        "The CSV file whose ids they use, where the folder has several.", panel=FEWSHOT
    )
    allow_outside: bool | None = allow_outside_flag()


@dataclass(frozen=True)
class ExportFewshotFlags(ExportFlags):
    """Flags of `dlcv export` for few-shot models."""

    episode: bool | None = flag(
        "Export a graph of complete episodes: support and queries in, logits out.", panel=FEWSHOT
    )
    allow_outside: bool | None = allow_outside_flag()

    @property
    def stem(self) -> str:
        return "episode" if self.episode else "model"


@dataclass(frozen=True, kw_only=True)
class FigureEpisodeFlags(EpisodeFlags):
    """Flags of `dlcv figure episode`."""

    model: Path = argument("Run folder, .ckpt or .onnx.", metavar="MODEL")
    data: Path = flag("Folder of images by class.", required=True)
    split: str = flag(
        "Split; of a set without splits, val is what was held out.", value="val", default="val"
    )
    episodes: Path | None = flag("A file of episodes.", default="drawn ones")
    number: int = flag(
        "Number of the episode; the first is 0.", "--episode", value=0, default="0", least=0
    )
    provider: Provider = flag("Execution provider.", value="auto", default="auto")
    out: Path = flag("A .png or .pdf file.", value=Path("episode.png"), default="episode.png")


@dataclass(frozen=True, kw_only=True)
class DataEpisodesFlags(Flags):
    """Flags of `dlcv data episodes`."""

    folder: Path = argument("Folder of images by class.", metavar="DIR")
    out: Path = flag("The CSV file to write.", required=True)
    split: str | None = flag("Split to draw from.", default="test, else val, else all")
    splits: str | None = flag(SPLITS, default="as the folder implies")
    run: Path | None = flag("A run whose held-out classes are a split.", metavar="RUN")
    n_way: int = flag("Classes of an episode.", value=5, default="5", least=2)
    k_shot: int = flag("Support images of each class.", value=1, default="1", least=1)
    n_query: int = flag("Query images of each class.", value=15, default="15", least=1)
    count: int = flag("Number of episodes.", "--episodes", value=600, default="600", least=1)
    seed: int = flag("Seed of the drawn episodes.", value=0, default="0", least=0)
    layout: str = flag("How the folder is laid out.", value="auto", default="auto")
    rotations: bool | None = flag("Add rotated images as classes of their own.", "--rotations")
    allow_outside: bool | None = allow_outside_flag()
