"""Grids of images with their annotations."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from dlcvcli.data.segmentation import Sample
from dlcvcli.figures.style import class_legend, in_style, new_figure, show_image
from dlcvcli.palette import ClassSet, encode_colours

_CELL = 1.1


@in_style
def annotation_grid(
    samples: Sequence[Sample], classes: ClassSet, *, columns: int = 10, title: str = ""
) -> Figure:
    """Draw each image with its annotation to the right, row by row.

    Args:
        samples: at least one.
        classes: the class set with the colours.
        columns: number of pictures in a row: 10 are five images with their annotations.
        title: title of the figure.
    """
    pairs = max(1, min(columns // 2, len(samples)))
    rows = math.ceil(len(samples) / pairs)
    shapes = [sample.image.shape for sample in samples]
    ratio = max(0.5, min(2.0, sum(h / w for h, w, _ in shapes) / len(shapes)))
    figure = new_figure(2 * pairs * _CELL, rows * (ratio * _CELL + 0.2) + 0.9)
    grid = figure.subplots(rows, 2 * pairs, squeeze=False)
    for axes in grid.flat[2 * len(samples) :]:
        axes.set_axis_off()
    for place, sample in enumerate(samples):
        line, column = place // pairs, 2 * (place % pairs)
        show_image(grid[line][column], sample.image)
        show_image(grid[line][column + 1], encode_colours(sample.mask, classes))
        # One name for each pair, above the image.
        grid[line][column].set_title(sample.name, fontsize=6, loc="left", pad=2)
    if title:
        figure.suptitle(title, fontsize=9)
    class_legend(figure, classes, [sample.mask for sample in samples])
    return figure
