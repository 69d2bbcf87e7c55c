"""Flags that classification has, beyond those of every task. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dlcvcli.flags import ExportFlags, ModelFlags, flag
from dlcvcli.tasks.flags import (
    DATA,
    MODEL,
    OPTIM,
    RUN,
    TrainFlags,
    allow_outside_flag,
    confusion_flag,
    min_accuracy_flag,
    networks,
    predicted_data_flag,
    predictions_flag,
)

CLS = "Classification"
TRANSFER = "Transfer"


@dataclass(frozen=True)
class TrainClsFlags(TrainFlags):
    """Flags of `dlcv train cls`."""

    data: Path | None = flag(
        "Folder of images by class, e.g. clothing.", panel=DATA, setting="data.path"
    )
    layout: str | None = flag(
        "Layout of the folder: class_folders, csv or flat.",
        panel=DATA,
        setting="data.layout",
        default="auto",
    )
    size: str | None = flag(
        "Stretch every image to this size, HxW in pixels, e.g. 128x128.",
        panel=DATA,
        setting="data.size",
        default="their own if all are alike, else at most 224x224",
    )
    label_fraction: float | None = flag(
        "Train on this fraction of each class only, e.g. 0.1.",
        panel=DATA,
        setting="data.label_fraction",
        default="1",
    )
    model: str | None = flag(
        "Name of the network: one of `dlcv models`, another classifier of torchvision, or "
        "timm/NAME.",
        panel=MODEL,
        setting="model.name",
        default="resnet18",
        complete=networks("vectors"),
    )
    batch_size: int | None = flag(
        "Images of a step, over all devices.",
        panel=OPTIM,
        setting="train.batch_size",
        default="32",
    )
    epochs: int | None = flag(
        "Number of epochs.", panel=OPTIM, setting="train.epochs", default="50"
    )
    steps: int | None = flag(
        "Number of steps, instead of epochs.", panel=OPTIM, setting="train.steps"
    )
    lr: float | None = flag(
        "Peak learning rate of the head, e.g. 1e-3.",
        panel=OPTIM,
        setting="optim.lr",
        default="1e-3, with sgd 0.05",
    )
    layer_decay: float | None = flag(
        "Multiply the learning rate by this for each block further from the head, e.g. 0.7.",
        panel=OPTIM,
        setting="optim.layer_decay",
        default="one learning rate for the backbone",
    )
    setting: Literal["A", "B", "C", "D", "E"] | None = flag(
        "Transfer setting. A: no pre-training. B, C: start from the supervised (B) or "
        "self-supervised (C) backbone and train all. D, E: the same two, backbone frozen.",
        panel=TRANSFER,
        setting="transfer.setting",
    )
    backbone: Path | None = flag(
        "Checkpoint or run folder with a (self-supervised) pre-trained backbone: settings C and E.",
        panel=TRANSFER,
        setting="transfer.backbone",
    )
    supervised_backbone: Path | None = flag(
        "Checkpoint or run folder with a backbone trained with labels, or imagenet: settings B "
        "and D.",
        panel=TRANSFER,
        setting="transfer.supervised_backbone",
    )
    freeze: str | None = flag(
        "Freeze all blocks before this one, e.g. layer4, or the complete backbone: all.",
        panel=TRANSFER,
        setting="transfer.freeze",
        default="nothing; settings D and E: all",
    )
    tsne_at: str | None = flag(
        "Save the features after these epochs and draw their t-SNE, e.g. 0,75,150.",
        panel=RUN,
        setting="tsne.epochs",
    )
    workers: int | None = flag(
        "Loader processes per device.",
        panel=RUN,
        setting="train.workers",
        default="by the number of cores",
    )


@dataclass(frozen=True)
class EvalClsFlags(ModelFlags):
    """Flags of `dlcv eval` for classifiers."""

    min_accuracy: float | None = min_accuracy_flag()
    predictions: Path | None = predictions_flag()
    confusion: Path | None = confusion_flag()
    reliability: Path | None = flag(
        "Draw the reliability diagram to this .png or .pdf file.", panel=CLS, passed_on=False
    )
    allow_outside: bool | None = allow_outside_flag()


@dataclass(frozen=True)
class PredictClsFlags(ModelFlags):
    """Flags of `dlcv predict` for classifiers."""

    data: Path | None = predicted_data_flag()
    top: int | None = flag(
        "Write this many of the most probable classes of each image.",
        panel=CLS,
        least=1,
        default="1",
    )
    allow_outside: bool | None = allow_outside_flag()


@dataclass(frozen=True)
class ExportClsFlags(ExportFlags):
    """Flags of `dlcv export` for classifiers."""

    allow_outside: bool | None = allow_outside_flag()
