"""Flags that segmentation has, beyond those of every task. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcvcli.config.names import LossName
from dlcvcli.flags import ExportFlags, Flags, ModelFlags, argument, flag
from dlcvcli.tasks.flags import DATA, MODEL, OPTIM, RUN, TrainFlags, confusion_flag, networks

SEG, VIEWS = "Segmentation", "Large images, several views"


@dataclass(frozen=True)
class TrainSegFlags(TrainFlags):
    """Flags of `dlcv train seg`."""

    data: Path | None = flag(
        "Folder of images and masks, e.g. camvid.", panel=DATA, setting="data.path"
    )
    model: str | None = flag(
        "Name of the network; `dlcv models` lists them.",
        panel=MODEL,
        setting="model.name",
        default="deeplabv3plus_resnet50",
        complete=networks("masks"),
    )
    batch_size: int | None = flag(
        "Images of a step, over all devices.",
        panel=OPTIM,
        setting="train.batch_size",
        default="8",
    )
    classes: str | None = flag(
        "Classes: landcover7, voc21, camvid11, or a YAML file of names and colours.",
        panel=DATA,
        setting="data.classes",
        default="as the layout implies",
    )
    crop: str | None = flag(
        "Size of random training crops, HxW in pixels, e.g. 256x256.",
        panel=DATA,
        setting="data.crop",
        default="the smaller of image and 512",
    )
    epochs: int | None = flag(
        "Number of epochs.", panel=OPTIM, setting="train.epochs", default="50"
    )
    steps: int | None = flag(
        "Number of steps, instead of epochs.", panel=OPTIM, setting="train.steps"
    )
    loss: LossName | None = flag(
        "Loss that is minimised.", panel=OPTIM, setting="loss.name", default="cross_entropy"
    )
    snapshot: list[str] | None = flag(
        "Save predicted masks of this image early, midway and at the end of training: a file, or a "
        "name in the validation split. Repeatable.",
        panel=RUN,
        setting="snapshot.images",
    )
    workers: int | None = flag(
        "Loader processes per device.",
        panel=RUN,
        setting="train.workers",
        default="by the number of cores",
    )


@dataclass(frozen=True)
class ViewFlags(ModelFlags):
    """Flags with which a model predicts an image in tiles, or several times."""

    tile: str | None = flag(
        "Predict in tiles of HxW pixels (or one number for both), which bounds the memory.",
        panel=VIEWS,
        default="complete images",
    )
    overlap: int | None = flag(
        "Pixels by which tiles overlap; they are blended there.",
        panel=VIEWS,
        least=0,
        default="an eighth of a tile",
    )
    tta: bool | None = flag(
        "Average the predictions of horizontal flips and several scales; six times the work.",
        panel=VIEWS,
    )
    tta_scales: str | None = flag(
        "Scales of --tta, separated by commas.", panel=VIEWS, default="0.75,1,1.25"
    )

    @property
    def graph(self) -> str | None:
        return "logits" if self.tile is not None or self.tta else None


@dataclass(frozen=True)
class EvalSegFlags(ViewFlags):
    """Flags of `dlcv eval` for segmentation models."""

    metric: list[str] | None = flag(
        "Convention of the mIoU: voc, dlcv, mmseg, torchvision, smp-imagewise. Repeatable; the "
        "first is the main one.",
        panel=SEG,
        default="voc",
    )
    boundary: bool | None = flag(
        "Also compute the boundary F-score: how well the predicted boundaries match.", panel=SEG
    )
    size: str | None = flag(
        "Stretch every image to this size, HxW in pixels.", panel=SEG, default="as trained"
    )
    min_miou: float | None = flag(
        "Exit with status 3 where the mIoU is below this, e.g. 0.6.",
        panel=SEG,
        least=0,
        most=1,
        passed_on=False,
    )
    masks: Path | None = flag("Write the predicted masks to this folder.", panel=SEG)
    confusion: Path | None = confusion_flag()


@dataclass(frozen=True)
class PredictSegFlags(ViewFlags):
    """Flags of `dlcv predict` for segmentation models."""

    overlay: bool | None = flag(
        "Also write each image with its mask in colour over it.",
        "--overlay/--no-overlay",
        panel=SEG,
        default="overlay",
    )


@dataclass(frozen=True)
class ExportSegFlags(ExportFlags):
    """Flags of `dlcv export` for segmentation models."""

    logits: bool | None = flag("Return the logits too, beside the mask.", panel=SEG)


_SPLIT = "Split; of a set without splits, val is what was held out."


def _out(default: str, value: Path | None = None) -> Any:
    return flag("A .png or .pdf file.", default=default, value=value)


def _colour_blind() -> Any:
    return flag("Use class colours that are distinct for every kind of colour vision.")


@dataclass(frozen=True, kw_only=True)
class SnapshotFlags(Flags):
    """Flags of `dlcv figure snapshots`."""

    run: Path = argument("A run folder.", metavar="RUN")
    image: list[str] | None = flag("This image only. Repeatable.", default="all that were saved")
    epoch: list[float] | None = flag(
        "The masks nearest to this epoch only. Repeatable.", default="all that were saved"
    )
    out: Path | None = _out("RUN/figures/snapshots.png")
    colour_blind: bool | None = _colour_blind()


@dataclass(frozen=True, kw_only=True)
class CompareFlags(Flags):
    """Flags of `dlcv figure compare`."""

    models: list[Path] = argument("Run folders, .ckpt or .onnx files.", metavar="MODEL...")
    data: Path = flag("Folder of images and masks.", required=True)
    split: str = flag(_SPLIT, value="val", default="val")
    image: list[str] | None = flag("An image by name. Repeatable.")
    worst: int = flag("The first model's worst images.", value=0, default="0", least=0)
    best: int = flag("The first model's best images.", value=0, default="0", least=0)
    count: int = flag(
        "Number of images, evenly spread, where none are chosen.", value=5, default="5", least=1
    )
    name: list[str] | None = flag("Title of each model, in order.", default="name of its folder")
    outlines: bool = flag(
        "Outline the pixels that differ from the ground truth.",
        "--outlines/--no-outlines",
        value=True,
        default="outlines",
    )
    out: Path = _out("compare.png", Path("compare.png"))
    colour_blind: bool | None = _colour_blind()


@dataclass(frozen=True, kw_only=True)
class GridFlags(Flags):
    """Flags of `dlcv figure grid`."""

    data: Path = argument("The folder of the set.", metavar="DIR")
    split: str = flag(_SPLIT, value="train", default="train")
    count: int = flag("Number of images.", value=20, default="20", least=1)
    columns: int = flag("Pictures in a row, two an image.", value=10, default="10", least=2)
    classes: str = flag(
        "Classes: landcover7, voc21, camvid11, or a YAML file of names and colours.",
        value="auto",
        default="as the layout implies",
    )
    layout: str = flag("How the folder is laid out.", value="auto", default="auto")
    ignore_index: int | None = flag(
        "Id of pixels without a label.", default="as the classes define", least=0, most=255
    )
    binarise: bool | None = flag(
        "Threshold the masks' channels at 128 and read them by colour (stored lossily, or 0/255)."
    )
    out: Path = _out("grid.png", Path("grid.png"))
    colour_blind: bool | None = _colour_blind()


@dataclass(frozen=True, kw_only=True)
class ConfusionFlags(Flags):
    """Flags of `dlcv figure confusion`."""

    source: Path = argument("A file that `dlcv eval --json` wrote, or a run.", metavar="RESULT")
    out: Path = _out("confusion.png", Path("confusion.png"))
