"""Settings of `dlcv train cls`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from dlcvcli.config.schema import (
    ImageAugmentSettings,
    ModelSettings,
    OptimSettings,
    RunSettings,
    TrainSettings,
)
from dlcvcli.config.values import BatchSize, Bytes, Count, CountOrZero, Settings, Size

TransferName = Literal["A", "B", "C", "D", "E"]

# What an optimiser needs where the user does not say so: SGD learns next to nothing at the learning
# rate of AdamW. 0.05 and 5e-4 are usual for batches of 32 to 128 (He et al. 2016, section 4.2).
_DEFAULTS_OF_SGD = {"lr": 0.05, "weight_decay": 5e-4}


class ClsDataSettings(Settings):
    """Which folder, how it is split, and what is done to an image before the network."""

    path: str = Field("", description="the data folder")
    layout: Literal["auto", "class_folders", "csv", "flat"] = Field(
        "auto", description="how the folder is laid out"
    )
    allow_outside: bool = Field(
        False, description="accept a CSV that names images outside of the data folder"
    )
    train_split: str = Field("train", description="split to train on")
    val_split: str = Field("val", description="split to validate on")
    holdout: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="fraction of each class held out for validation in a set without splits"
    )
    holdout_by: str | None = Field(
        None,
        description="hold out complete groups of images: a regular expression whose first group "
        "(or match) in the file name is the group's name, or a column of the CSV",
    )
    holdout_groups: tuple[str, ...] = Field(
        (), description="the groups to hold out; empty: drawn at random"
    )
    label_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="fraction of the training images of each class that is trained on"
    )
    size: Size | None = Field(
        None,
        description="stretch every image to H x W; null: their own size if all are alike, else the "
        "median side, at most 224",
    )
    cache: Bytes = Field(
        1 << 30,
        description="memory for decoded training images, e.g. 2GiB, over all ranks and loader "
        "processes of a machine; those beyond it are decoded whenever they are needed",
    )
    augment: ImageAugmentSettings = ImageAugmentSettings()


class ClassifierSettings(ModelSettings):
    """Which network."""

    name: str = Field("resnet18", description="see `dlcv models`; timm/NAME for one of timm's")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="dropout between the features and the last layer"
    )


class TransferSettings(Settings):
    """From which backbone a classifier starts, and which part of it is trained."""

    setting: TransferName | None = Field(
        None,
        description="A: no pre-training; B: supervised backbone, all trained; C: self-supervised "
        "backbone, all trained; D: supervised, frozen; E: self-supervised, frozen",
    )
    backbone: str | None = Field(
        None, description="checkpoint or run folder of the backbone of settings C and E"
    )
    supervised_backbone: str | None = Field(
        None, description="the same of settings B and D, or imagenet"
    )
    freeze: str | None = Field(
        None, description="freeze all blocks before this one, or the complete backbone: all"
    )


ClassWeights = Literal["none", "balanced"] | tuple[Annotated[float, Field(ge=0, le=1e6)], ...]


class ClsLossSettings(Settings):
    """What is minimised: the cross-entropy."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="part of each target that is spread over all classes"
    )
    class_weights: ClassWeights = Field(
        "none",
        description="none; balanced: inversely proportional to the number of images; or a number "
        "for each class",
    )
    mixup: Annotated[float, Field(ge=0, le=100)] = Field(
        0.0, description="alpha of mixup's Beta(alpha, alpha); 0 turns it off"
    )
    cutmix: Annotated[float, Field(ge=0, le=100)] = Field(
        0.0, description="alpha of CutMix; with mixup on too, each takes half of the batches"
    )

    @field_validator("class_weights")
    @classmethod
    def _some_class_counts(cls, weights: ClassWeights) -> ClassWeights:
        if not isinstance(weights, str) and not any(weights):
            raise ValueError("no class has a weight above 0, so nothing would be learnt")
        return weights


class ClsOptimSettings(OptimSettings):
    """The optimiser; with sgd, `lr` is 0.05 and `weight_decay` 5e-4 unless they are set."""

    weight_decay: Annotated[float, Field(ge=0)] = Field(
        0.05, description="not applied to biases and norms; adam adds it to the gradient (L2)"
    )
    layer_decay: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="factor on the learning rate of each block of the backbone, and once more for "
        "every block that is further from the head; null: `backbone_lr_scale` for all of them",
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_sgd(cls, tree: Any) -> Any:
        if isinstance(tree, dict) and tree.get("name") == "sgd":
            return _DEFAULTS_OF_SGD | tree
        return tree


class ClsTrainSettings(TrainSettings):
    """Number of steps, batch size, devices and checkpoints."""

    batch_size: BatchSize = Field(32, description="global batch size, over all ranks")


def _epochs(value: Any) -> Any:
    """Return the numbers in '0,75,150'."""
    if not isinstance(value, str):
        return (value,) if isinstance(value, int) else value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"'{value}' is not a list of epochs, e.g. 0,75,150")
    return tuple(int(part) for part in parts)


class TsneSettings(Settings):
    """The features that are saved during training, for figures of their t-SNE."""

    epochs: Annotated[tuple[CountOrZero, ...], BeforeValidator(_epochs)] = Field(
        (), description="save the features after these epochs; 0 is before the first step"
    )
    split: Literal["train", "val"] = Field("val", description="of the images of this split")
    max_points: Count = Field(2000, description="of at most this many images, class by class")
    perplexity: Annotated[float, Field(gt=0)] = Field(30.0, description="perplexity of t-SNE")


class TrainClsSettings(RunSettings):
    """Everything that decides a run of `dlcv train cls`."""

    task: Literal["cls"] = "cls"
    data: ClsDataSettings = ClsDataSettings()
    model: ClassifierSettings = ClassifierSettings()
    transfer: TransferSettings = TransferSettings()
    loss: ClsLossSettings = ClsLossSettings()
    optim: ClsOptimSettings = ClsOptimSettings()
    train: ClsTrainSettings = ClsTrainSettings()
    tsne: TsneSettings = TsneSettings()
