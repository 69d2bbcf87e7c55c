"""Figures of masks: snapshots during training, and predictions beside the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dlcvcli.data.masks import read_written_mask
from dlcvcli.data.reading import Pixels, read_rgb
from dlcvcli.errors import DataError, nearest
from dlcvcli.figures.style import class_legend, in_style, new_figure, show_image
from dlcvcli.palette import ClassSet, Mask, encode_colours
from dlcvcli.runs import RunFolder

_CELL = 2.0
# Characters in a line of a cell.
_TITLE = 24


@dataclass(frozen=True)
class Row:
    """One row of a figure: an image, its ground truth and predicted masks, all of one size.

    Attributes:
        name: text to the left of the row.
        image: uint8 [H, W, 3].
        ground_truth: uint8 [H, W].
        masks: title -> predicted mask, uint8 [H, W].
        captions: title -> text above that mask, below the title in the first row.
    """

    name: str
    image: Pixels
    ground_truth: Mask
    masks: dict[str, Mask]
    captions: dict[str, str] = field(default_factory=dict)


@in_style
def side_by_side(rows: Sequence[Row], classes: ClassSet, *, outlined: bool = False) -> Figure:
    """Draw image, ground truth and predictions in a row for each image, with a legend.

    Args:
        rows: one or more rows, all with the same titles of masks.
        classes: the class set with the colours.
        outlined: draw the boundaries of areas that differ from the ground truth, except for areas
            that are narrower than three pixels.
    """
    titles = list(rows[0].masks)
    ratio = float(np.mean([row.image.shape[0] / row.image.shape[1] for row in rows]))
    height = max(0.5, min(ratio, 2.0)) * _CELL
    caption = 0.2 if any(row.captions for row in rows) else 0.0
    head = 0.9 + 0.17 * max((len(title) // _TITLE for title in titles), default=0)
    figure = new_figure((len(titles) + 2) * _CELL + 0.3, len(rows) * (height + caption) + head)
    grid = figure.subplots(len(rows), len(titles) + 2, squeeze=False)
    for line, row in enumerate(rows):
        first = line == 0
        show_image(grid[line][0], row.image, "image" if first else "")
        _name_row(grid[line][0], row.name)
        title = "ground truth" if first else ""
        show_image(grid[line][1], encode_colours(row.ground_truth, classes), title)
        for column, title in enumerate(titles, 2):
            axes, mask = grid[line][column], row.masks[title]
            heading = [fill(title, _TITLE)] if first else []
            heading += [row.captions[title]] if title in row.captions else []
            show_image(axes, encode_colours(mask, classes), "\n".join(heading))
            if outlined:
                _outline(axes, (mask != row.ground_truth) & (row.ground_truth < len(classes)))
    shown = [mask for row in rows for mask in (row.ground_truth, *row.masks.values())]
    class_legend(figure, classes, shown)
    return figure


def _outline(axes: Any, differs: NDArray[np.bool_]) -> None:
    """Draw a white line with a black rim around areas at least three pixels wide."""
    areas = _opened(differs)
    if not areas.any():
        return
    # The margin closes the line of an area at the border of the image.
    framed = np.pad(areas, 1)
    ys, xs = (np.arange(side) - 1.0 for side in framed.shape)
    xs[[0, -1]] += (0.6, -0.6)
    ys[[0, -1]] += (0.6, -0.6)
    for colour, width in (("black", 1.6), ("white", 0.7)):
        axes.contour(xs, ys, framed, levels=[0.5], colors=[colour], linewidths=[width])


def _opened(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return an area without its parts narrower than three pixels (morphological opening)."""
    inner = np.pad(area, 1, mode="edge")
    core = np.ones_like(area)
    grown = np.zeros_like(inner)
    height, width = area.shape
    shifts = [(y, x) for y in range(3) for x in range(3)]
    for y, x in shifts:
        core &= inner[y : y + height, x : x + width]
    for y, x in shifts:
        grown[y : y + height, x : x + width] |= core
    opened: NDArray[np.bool_] = grown[1:-1, 1:-1]
    return opened


def _name_row(axes: Any, name: str) -> None:
    if len(name) > _TITLE:
        name = f"{name[: _TITLE // 2]}…{name[-_TITLE // 2 :]}"
    axes.text(
        -0.04, 0.5, name, transform=axes.transAxes, rotation=90, ha="right", va="center", fontsize=8
    )


@in_style
def snapshot_grid(
    run: RunFolder,
    classes: ClassSet,
    steps_per_epoch: int | None = None,
    *,
    images: Sequence[str] = (),
    steps: Sequence[int] = (),
) -> Figure:
    """Draw the snapshots of a run: a column for each image, a row for each step, then ground truth.

    Args:
        run: the run folder.
        classes: the class set with the colours.
        steps_per_epoch: used to label rows by epochs; None: label them by steps.
        images: the images, in this order; empty: all.
        steps: the steps; empty: all.

    Raises:
        DataError: the run has no snapshots, or none of an image or step.
    """
    names = sorted(p.name for p in run.snapshots.glob("*") if (p / "image.png").is_file())
    all_steps = saved_steps(run)
    if not names or not all_steps:
        raise DataError(f"{run.path} has no snapshots", "train with --snapshot IMAGE")
    for name in images:
        if name not in names:
            raise DataError(f"{run.path} has no snapshots of {name}", nearest(name, names))
    for step in steps:
        if step not in all_steps:
            listed = ", ".join(map(str, all_steps))
            raise DataError(f"{run.path} has no snapshots at step {step}", f"steps: {listed}")
    subjects = [run.snapshots / name for name in images or names]
    steps = sorted(steps or all_steps)
    rows = ["image.png", *(f"step-{step:07d}.png" for step in steps), "truth.png"]
    labels = ["image", *(_step_label(step, steps_per_epoch) for step in steps), "ground truth"]
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
                _name_row(axes, label)
    class_legend(figure, classes, masks)
    return figure


def _step_label(step: int, steps_per_epoch: int | None) -> str:
    if steps_per_epoch is None:
        return f"step {step}"
    epoch = step / steps_per_epoch
    # With one decimal, the first steps of a long epoch would be "epoch 0".
    return f"epoch {round(epoch, 1) or round(epoch, 3):g}"


def _draw_file(axes: object, path: Path, classes: ClassSet, masks: list[Mask], title: str) -> None:
    if not path.is_file():
        show_image(axes, np.full((1, 1, 3), 255, np.uint8), title)
        return
    if path.name == "image.png":
        show_image(axes, read_rgb(path), title)
        return
    mask = read_written_mask(path)
    masks.append(mask)
    show_image(axes, encode_colours(mask, classes), title)


def saved_steps(run: RunFolder) -> list[int]:
    """Return the steps at which a run saved masks, in order."""
    files = run.snapshots.glob("*/step-*.png")
    return sorted({int(file.stem.removeprefix("step-")) for file in files})
