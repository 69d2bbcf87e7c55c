"""Commands that only segmentation has: its figures. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcvcli.flags import Flags, argument, flag
from dlcvcli.reporter import Reporter
from dlcvcli.tasks.spec import Command

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


def _snapshots(flags: SnapshotFlags, reporter: Reporter) -> list[str]:
    from dlcvcli.tasks.segmentation.figures import draw_snapshots

    return [str(draw_snapshots(flags))]


def _compare(flags: CompareFlags, reporter: Reporter) -> list[str]:
    from dlcvcli.tasks.segmentation.figures import draw_comparison

    return [str(draw_comparison(flags, reporter))]


def _grid(flags: GridFlags, reporter: Reporter) -> list[str]:
    from dlcvcli.tasks.segmentation.figures import draw_grid

    return [str(draw_grid(flags, reporter))]


def _confusion(flags: ConfusionFlags, reporter: Reporter) -> list[str]:
    from dlcvcli.tasks.segmentation.figures import draw_confusion

    return [str(draw_confusion(flags))]


COMMANDS = (
    Command(
        "figure",
        "snapshots",
        "Draw the masks that a run saved: a column an image, a row an epoch, the ground truth last.",
        ("dlcv figure snapshots runs/first --image 0013 --epoch 1 --epoch 20",),
        SnapshotFlags,
        _snapshots,
    ),
    Command(
        "figure",
        "compare",
        "Draw image, ground truth and the masks of several models side by side.",
        (
            "dlcv figure compare runs/fcn32s runs/fcn8s --data my-set --image 0013 --image 0062",
            "dlcv figure compare runs/first --data my-set --worst 4 --best 2 --out extremes.pdf",
        ),
        CompareFlags,
        _compare,
    ),
    Command(
        "figure",
        "grid",
        "Draw images that together show all classes, each beside its annotation.",
        ("dlcv figure grid VOCdevkit --count 20 --out classes.pdf",),
        GridFlags,
        _grid,
    ),
    Command(
        "figure",
        "confusion",
        "Draw the confusion matrix of an evaluation, each row as fractions of its true class.",
        ("dlcv eval RUN --data D --json result.json; dlcv figure confusion result.json",),
        ConfusionFlags,
        _confusion,
    ),
)
