"""Settings of `dlcv train seg`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from dlcvcli.config.names import Balance, LossName
from dlcvcli.config.schema import AugmentSettings, ModelSettings, RunSettings
from dlcvcli.config.values import Bytes, CountOrZero, Settings, Size

# Pixels of the image that a training crop is taken from: 0.8 GB as bytes.
MAX_WINDOW = 2**28


class DataSettings(Settings):
    """Which folder, how it is read, and what is done to an image before the network."""

    path: str = Field("", description="the data folder")
    layout: Literal["auto", "sat_mask", "images_masks", "camvid", "voc"] = Field(
        "auto", description="how the folder is laid out"
    )
    classes: str = Field(
        "auto", description="class preset or YAML file; auto: as the layout implies"
    )
    ignore_index: Annotated[int, Field(ge=0, le=255)] | None = Field(
        None, description="annotation id of unlabelled pixels; null: as the classes define"
    )
    binarise: bool = Field(
        False,
        description="threshold a mask's channels at 128 and read it by colour (stored lossily, or "
        "0/255)",
    )
    train_split: str = Field("train", description="split to train on")
    val_split: str = Field("val", description="split to validate on")
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="fraction held out for validation where the set has no splits"
    )
    holdout_by: str | None = Field(
        None,
        description="hold out complete groups of images: a regular expression whose first group "
        "(or match) in the file name is the group's name",
    )
    holdout_groups: tuple[str, ...] = Field(
        (), description="the groups to hold out; empty: drawn at random"
    )
    size: Size | None = Field(None, description="stretch every image to H x W; null: own size")
    crop: Size | None = Field(
        None, description="training crop H x W; null: the smaller of the image and 512"
    )
    audit: bool = Field(True, description="read every image and annotation before training")
    cache: Bytes = Field(
        0,
        description="memory for decoded training images, e.g. 2GiB, over all ranks and loader "
        "processes of a machine; 0: none, each is decoded whenever it is needed",
    )
    augment: AugmentSettings = AugmentSettings()

    @model_validator(mode="after")
    def _window_fits_into_memory(self) -> DataSettings:
        low = self.augment.scale[0]
        if self.crop is not None and self.crop[0] * self.crop[1] / low**2 > MAX_WINDOW:
            height, width = self.crop
            raise ValueError(
                f"data.crop {height}x{width} at data.augment.scale {low:g} is taken from "
                f"{height / low:.0f}x{width / low:.0f} pixels, more than {MAX_WINDOW:,}"
            )
        return self


class NetworkSettings(ModelSettings):
    """Which network."""

    name: str = Field("deeplabv3plus_resnet50", description="see `dlcv models`")


# Of float32, which holds the bound and a millionth of it to seven digits.
LARGEST_WEIGHT, SMALLEST_WEIGHT = 1e6, 1e-6
ClassWeights = (
    Literal["none", Balance] | tuple[Annotated[float, Field(ge=0, le=LARGEST_WEIGHT)], ...]
)


class LossSettings(Settings):
    """What is minimised."""

    name: LossName = "cross_entropy"
    class_weights: ClassWeights = Field(
        "none",
        description="of losses that weight classes: none, median_frequency, inverse_log, "
        "inverse_root, or a number for each class",
    )
    gamma: Annotated[float, Field(gt=0)] | None = Field(
        None, description="of focal and exponential_cross_entropy; null: 2 and 0.3, as published"
    )
    auxiliary: Annotated[float, Field(ge=0)] = Field(
        0.4, description="weight of an auxiliary head's loss, where the network has one"
    )

    @field_validator("class_weights")
    @classmethod
    def _some_class_counts(cls, weights: ClassWeights) -> ClassWeights:
        if not isinstance(weights, str) and max(weights, default=0) < SMALLEST_WEIGHT:
            raise ValueError(
                f"no class has a weight of {SMALLEST_WEIGHT} or more, so nothing would be learnt"
            )
        return weights


class SnapshotSettings(Settings):
    """Images whose predicted masks are kept during training."""

    images: tuple[str, ...] = Field((), description="files, or names in the validation split")
    epochs: tuple[CountOrZero, ...] | None = Field(
        None, description="after which epochs; null: early, middle and final"
    )


class TrainSegSettings(RunSettings):
    """Everything that decides a run of `dlcv train seg`."""

    task: Literal["seg"] = "seg"
    data: DataSettings = DataSettings()
    model: NetworkSettings = NetworkSettings()
    loss: LossSettings = LossSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
