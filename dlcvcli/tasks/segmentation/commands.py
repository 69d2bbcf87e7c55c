"""Commands that only segmentation has: its figures. Imports the standard library only."""

from __future__ import annotations

from dlcvcli.reporter import Reporter
from dlcvcli.tasks.segmentation.flags import CompareFlags, ConfusionFlags, GridFlags, SnapshotFlags
from dlcvcli.tasks.spec import Command


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
        "Draw the masks that a run saved: a column an image, a row an epoch, ground truth last.",
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
