"""Masks as pictures: snapshots over training, and image | truth | predictions side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dlcvcli.data.reading import Pixels, read_rgb
from dlcvcli.errors import DataError
from dlcvcli.figures.style import class_legend, new_figure, show_image
from dlcvcli.palette import ClassSet, Mask, encode_colours
from dlcvcli.runs import RunFolder

_CELL = 2.0


@dataclass(frozen=True)
class Row:
    """One line of a picture: an image and masks of its size.

    Attributes:
        name: written at its left.
        image: uint8 [H, W, 3].
        masks: title -> uint8 [H, W].
    """

    name: str
    image: Pixels
    masks: dict[str, Mask]


def side_by_side(rows: Sequence[Row], classes: ClassSet) -> Figure:
    """Draw image | truth | predictions, a row an image, with the palette's legend."""
    titles = list(rows[0].masks)
    ratio = rows[0].image.shape[0] / rows[0].image.shape[1]
    height = max(0.5, min(ratio, 2.0)) * _CELL
    figure = new_figure((len(titles) + 1) * _CELL, len(rows) * height + 0.7)
    grid = figure.subplots(len(rows), len(titles) + 1, squeeze=False)
    for line, row in enumerate(rows):
        show_image(grid[line][0], row.image, "image" if line == 0 else "")
        for column, title in enumerate(titles, 1):
            colours = encode_colours(row.masks[title], classes)
            show_image(grid[line][column], colours, title if line == 0 else "")
    class_legend(figure, classes, [mask for row in rows for mask in row.masks.values()])
    return figure


def snapshot_grid(run: RunFolder, classes: ClassSet, steps_per_epoch: int | None = None) -> Figure:
    """Draw the snapshots of a run: a column an image, a row a step, the truth in the last row.

    Raises:
        DataError: the run kept none.
    """
    subjects = sorted(p for p in run.snapshots.glob("*") if (p / "image.png").is_file())
    steps = sorted({int(p.stem.removeprefix("step-")) for p in run.snapshots.glob("*/step-*.png")})
    if not subjects or not steps:
        raise DataError(f"{run.path} kept no snapshots", "train with --snapshot IMAGE")
    rows = ["image.png", *(f"step-{step:07d}.png" for step in steps), "truth.png"]
    labels = ["image", *(_step_label(step, steps_per_epoch) for step in steps), "truth"]
    shapes = [read_rgb(subject / "image.png").shape for subject in subjects]
    ratio = float(np.mean([shape[0] / shape[1] for shape in shapes]))
    figure = new_figure(max(3.0, len(subjects) * _CELL + 0.5), len(rows) * _CELL * ratio + 0.7)
    grid = figure.subplots(len(rows), len(subjects), squeeze=False)
    masks: list[Mask] = []
    for column, subject in enumerate(subjects):
        for line, (file, label) in enumerate(zip(rows, labels, strict=True)):
            axes = grid[line][column]
            _draw_file(axes, subject / file, classes, masks, subject.name if line == 0 else "")
            if column == 0:
                axes.text(
                    -0.04,
                    0.5,
                    label,
                    transform=axes.transAxes,
                    rotation=90,
                    ha="right",
                    va="center",
                )
    class_legend(figure, classes, masks)
    return figure


def _step_label(step: int, steps_per_epoch: int | None) -> str:
    if steps_per_epoch is None:
        return f"step {step}"
    return f"epoch {round(step / steps_per_epoch, 1):g}"


def _draw_file(axes: object, path: Path, classes: ClassSet, masks: list[Mask], title: str) -> None:
    if not path.is_file():
        show_image(axes, np.full((1, 1, 3), 255, np.uint8), title)
        return
    if path.name == "image.png":
        show_image(axes, read_rgb(path), title)
        return
    with Image.open(path) as image:
        mask = np.asarray(image)
    masks.append(mask)
    show_image(axes, encode_colours(mask, classes), title)
