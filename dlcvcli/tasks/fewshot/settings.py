"""Settings of `dlcv train fewshot`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlcvcli.config.names import DistanceName, OptimizerName, ScheduleName
from dlcvcli.config.schema import (
    JitterSettings,
    ModelSettings,
    OptimSettings,
    RunSettings,
    ScheduleSettings,
    TrainSettings,
)
from dlcvcli.config.values import MAX_COUNT, BatchSize, Bytes, Count, Settings, Size

# Fixed episodes are drawn at once; with as many, the 95 % interval of an accuracy is within 0.001.
Episodes = Annotated[int, Field(ge=2, le=1_000_000)]
Ways = Annotated[int, Field(ge=2, le=MAX_COUNT)]
Colour = tuple[float, float, float]
Deviation = tuple[
    Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]
]
Rotations = Literal["none", "train", "all"]


class FewshotDataSettings(Settings):
    """Which folder, which of its classes, and how its images are read."""

    path: str = Field("", description="the data folder")
    layout: Literal["auto", "class_folders", "csv", "omniglot"] = Field(
        "auto", description="how the folder is laid out"
    )
    splits: str = Field(
        "auto",
        description="which class is in which split: auto (as the folder implies), vinyals, or a "
        "CSV with the columns class and split",
    )
    allow_outside: bool = Field(
        False, description="accept a CSV that names images outside of the data folder"
    )
    train_split: str = Field("train", description="split to train on")
    val_split: str = Field("val", description="split to validate on")
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2,
        description="fraction of the classes, or of their groups (alphabets), held out for "
        "validation where the set has no split for it",
    )
    holdout_by: str | None = Field(
        None,
        description="hold out complete groups of classes: a regular expression whose first group "
        "(or match) in the name of the class is the group's name",
    )
    holdout_groups: tuple[str, ...] = Field(
        (), description="the groups to hold out for validation; empty: drawn at random"
    )
    test_holdout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="the same for a test split, which training and validation never use"
    )
    size: Size | None = Field(
        None, description="stretch every image to H x W; null: 28x28 for Omniglot, else 84x84"
    )
    rotations: Rotations = Field(
        "none",
        description="rotations by 90, 180 and 270 degrees as classes of their own: of the training "
        "classes, or of the classes of every split",
    )
    mean: Colour | None = Field(
        None,
        description="mean of R, G, B in [0, 1] that images are normalised with; null: that of the "
        "training images, or of ImageNet's with its weights",
    )
    std: Deviation | None = Field(None, description="their standard deviation; null: likewise")
    cache: Bytes = Field(
        2 << 30,
        description="memory for decoded images, e.g. 2GiB; those beyond it are decoded whenever "
        "they are needed",
    )
    jitter: JitterSettings = JitterSettings()


class EpisodeSettings(Settings):
    """The shape and number of episodes."""

    n_way: Ways = Field(5, description="classes of a training episode")
    k_shot: Count = Field(1, description="examples of each")
    n_query: Count = Field(15, description="queries of each")
    test_n_way: Ways | None = Field(
        None, description="in validation and test; null: as in training"
    )
    test_k_shot: Count | None = Field(None, description="likewise")
    test_n_query: Count | None = Field(None, description="likewise")
    val_episodes: Episodes = Field(600, description="fixed episodes of a validation")
    test_episodes: Episodes = Field(
        2000,
        description="fixed episodes that the best weights are scored on at the end: of the split "
        "test where there is one, else of the validation split, and never those of validation",
    )


class EncoderSettings(ModelSettings):
    """Which encoder."""

    name: str = Field("conv4", description="see `dlcv models`")


class DistanceSettings(Settings):
    """What a query is compared with a prototype by."""

    name: DistanceName = "euclidean"
    scale: Annotated[float, Field(gt=0)] = Field(
        10.0, description="of cosine: what its learnable scale starts from"
    )
    hidden: Annotated[int, Field(ge=1, le=65536)] = Field(
        128, description="of parametric: width of its layers"
    )
    layers: Annotated[int, Field(ge=2, le=100)] = Field(
        3, description="of parametric: linear layers"
    )


class EpisodeOptimSettings(OptimSettings):
    """How the loss is minimised; Adam, as in the paper."""

    name: OptimizerName = "adam"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0


class EpisodeScheduleSettings(ScheduleSettings):
    """How the learning rate changes with the step: halved every 2000 episodes, as in the paper."""

    name: ScheduleName = "step"
    every: Count = Field(2000, description="of step: steps between two reductions")
    gamma: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="of step: factor of a reduction"
    )


class EpisodeTrainSettings(TrainSettings):
    """How long, how fast, and what is kept; an epoch is 100 steps."""

    batch_size: BatchSize = Field(1, description="episodes of a step, over all ranks")


class TrainFewshotSettings(RunSettings):
    """Everything that decides a run of `dlcv train fewshot`."""

    task: Literal["fewshot"] = "fewshot"
    data: FewshotDataSettings = FewshotDataSettings()
    episode: EpisodeSettings = EpisodeSettings()
    model: EncoderSettings = EncoderSettings()
    distance: DistanceSettings = DistanceSettings()
    optim: EpisodeOptimSettings = EpisodeOptimSettings()
    schedule: EpisodeScheduleSettings = EpisodeScheduleSettings()
    train: EpisodeTrainSettings = EpisodeTrainSettings()
