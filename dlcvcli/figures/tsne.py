"""t-SNE layouts as a strip of panels, and as an animation in which points can be followed."""

from __future__ import annotations

import io
import math
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from PIL import Image

from dlcvcli.data.reading import Progress
from dlcvcli.figures.colours import safe_colours
from dlcvcli.figures.style import in_style, new_figure, save, styled, take_literally
from dlcvcli.figures.tsne_layout import Layout, Tsne, compute_tsne
from dlcvcli.files import write_atomically
from dlcvcli.inference.features import Features, saved_epochs
from dlcvcli.runs import RunFolder

# Sizes in inches: of a panel, of the texts above it, of an entry and a row of the legend.
_PANEL, _HEAD, _ENTRY, _ROW = 3.2, 0.48, 1.25, 0.158
_CAPTION, _GAP = 0.14, 0.1
_SMALL: Any = {"fontsize": 7, "color": "#555555"}
_COLUMNS = 3
# More classes have their numbers at their centroids: no legend is read back and forth so often.
_MOST_COLOURS = 20
# More would be longer than the panels.
_MOST_NAMES = 120
_NAME = 16
_MARKERS = ("o", "s", "^", "D", "v")
_PER_MARKER = 7

# The animation: frames of a change, milliseconds of one and of the pause at a layout, resolution.
_FRAMES, _FRAME_MS, _PAUSE_MS, _DPI = 16, 60, 1400, 110


@in_style
def tsne_figure(tsne: Tsne) -> Figure:
    """Draw a panel for each layout, in axes of one scale, with the scores of the features.

    Up to 20 classes are named in a legend. Above, each class has its number at its centroid, the
    median of its points, and the legend names the numbers.
    """
    count = len(tsne.panels)
    columns = min(count, _COLUMNS)
    rows = math.ceil(count / columns)
    figure, grid = _figure(tsne, rows, columns)
    for axes in grid[count:]:
        axes.set_axis_off()
    for axes, panel in zip(grid, tsne.panels, strict=False):
        axes.set_title(f"{panel.title}\n", fontweight="bold")
        axes.text(0.5, 1.02, panel.scores, transform=axes.transAxes, ha="center", va="bottom")
        _draw(axes, tsne, panel.points)
    return figure


def save_gif(tsne: Tsne, path: Path) -> None:
    """Write an animation that moves the points from each layout to the next, and starts again.

    Raises:
        DlcvError: the file cannot be written.
    """
    with styled():
        figure, (axes, *_) = _figure(tsne, 1, 1)
        title = axes.set_title(" ", fontweight="bold")
        scores = axes.text(0.5, 1.02, "", transform=axes.transAxes, ha="center", va="bottom")
        parts = _draw(axes, tsne, tsne.panels[0].points)
    take_literally(figure)
    frames, durations = [], []
    last = len(tsne.panels) - 1
    for number, panel in enumerate(tsne.panels):
        title.set_text(f"{panel.title}\n")
        scores.set_text(panel.scores)
        ahead = tsne.panels[min(number + 1, last)].points
        for frame in range(1 if number == last else _FRAMES):
            # Slow at both ends, so that the eye finds its points again.
            done = 0.5 - 0.5 * math.cos(math.pi * frame / _FRAMES)
            _move(parts, tsne, panel.points + done * (ahead - panel.points))
            frames.append(_rendered(figure))
            durations.append(_FRAME_MS if frame else _PAUSE_MS)
    # One palette for all frames: colours that change flicker, and take space.
    palette = frames[0].quantize(128)
    first, *others = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    content = io.BytesIO()
    first.save(content, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    write_atomically(path, content.getvalue())


def draw_tsne(
    run: RunFolder,
    out: Path | None = None,
    *,
    progress: Progress = lambda done, total: None,
    **options: Any,
) -> tuple[Tsne, Path] | None:
    """Draw the features that a run saved: a strip, and an animation of several epochs beside it.

    Args:
        run: its features are files of `inference.features.save_epoch`.
        out: a .png or .pdf file; None for `figures/tsne.png` of the run.
        progress: called with (epochs done, epochs in all).
        options: of `compute_tsne`.

    Returns:
        The layouts and the file; None where the run saved no features.

    Raises:
        DataError: the features cannot be read, or are of fewer than five images.
    """
    epochs = saved_epochs(run)
    if not epochs:
        return None
    stages = {f"epoch {epoch}": Features.load(path) for epoch, path in epochs.items()}
    tsne = compute_tsne(stages, progress=progress, **options)
    target = out or run.figures / "tsne.png"
    save(tsne_figure(tsne), target)
    if len(tsne.panels) > 1:
        save_gif(tsne, target.with_suffix(".gif"))
    return tsne, target


def _figure(tsne: Tsne, rows: int, columns: int) -> tuple[Figure, list[Any]]:
    """Return a figure with legend, caption, and empty axes of one scale for panels."""
    width = max(columns * (_PANEL + _GAP) + _GAP, 4.4)
    caption = fill(tsne.caption, int(width * 18))
    caption_height = (caption.count("\n") + 1) * _CAPTION + _GAP
    present = np.unique(tsne.labels)
    named = len(present) if len(present) <= _MOST_NAMES else 1
    entries = math.ceil(named / int(width / _ENTRY))
    below = caption_height + entries * _ROW + 2 * _GAP
    height = below + rows * (_PANEL + _HEAD)
    figure = new_figure(width, height)
    # Constrained layout would leave space for the frames of axes of equal aspect twice.
    figure.set_layout_engine("none")
    figure.text(0.5, _GAP / height, caption, ha="center", va="bottom", **_SMALL)
    _add_legend(figure, tsne, present, entries, (0.5, caption_height / height))
    everything = np.concatenate([panel.points for panel in tsne.panels])
    low, high = everything.min(axis=0), everything.max(axis=0)
    middle, reach = (low + high) / 2, 0.54 * float((high - low).max() or 1.0)
    left = (width - columns * (_PANEL + _GAP) + _GAP) / 2
    grid = []
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        corner = left + column * (_PANEL + _GAP), below + (rows - 1 - row) * (_PANEL + _HEAD)
        box = corner[0] / width, corner[1] / height, _PANEL / width, _PANEL / height
        axes = figure.add_axes(box, xticks=[], yticks=[])
        axes.set_xlim(middle[0] - reach, middle[0] + reach)
        axes.set_ylim(middle[1] - reach, middle[1] + reach)
        for spine in axes.spines.values():
            spine.set(visible=True, color="#bbbbbb", linewidth=0.8)
        grid.append(axes)
    return figure, grid


def _draw(axes: Any, tsne: Tsne, points: Layout) -> dict[int, tuple[Any, Any]]:
    """Draw the points; return class -> its points and its number, None for few classes."""
    numbered = len(tsne.classes) > _MOST_COLOURS
    # Fewer points can be larger.
    size = float(np.clip(6000 / len(points), 6, 26))
    parts = {}
    for label in np.unique(tsne.labels).tolist():
        own = points[tsne.labels == label]
        colour, marker = _look(label, tsne)
        drawn = axes.scatter(
            *own.T,
            s=size,
            color=colour,
            marker=marker,
            edgecolors="#333333",
            linewidths=0.25,
            alpha=0.75 if numbered else 0.9,
        )
        number = None
        if numbered:
            number = axes.text(
                *np.median(own, axis=0),
                str(label),
                fontsize=6.5,
                fontweight="bold",
                ha="center",
                va="center",
                zorder=4,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )
        parts[label] = drawn, number
    return parts


def _move(parts: dict[int, tuple[Any, Any]], tsne: Tsne, points: Layout) -> None:
    for label, (drawn, number) in parts.items():
        own = points[tsne.labels == label]
        drawn.set_offsets(own)
        if number is not None:
            number.set_position(np.median(own, axis=0))


def _look(label: int, tsne: Tsne) -> tuple[str, str]:
    """Return colour and marker of a class; few colours, since those of many are alike."""
    if len(tsne.classes) <= _MOST_COLOURS:
        colours = safe_colours(min(len(tsne.classes), _PER_MARKER))
        marker = _MARKERS[label // _PER_MARKER % len(_MARKERS)]
    else:
        colours, marker = safe_colours(len(tsne.classes)), "o"
    red, green, blue = colours[label % len(colours)]
    return f"#{red:02x}{green:02x}{blue:02x}", marker


def _add_legend(
    figure: Figure, tsne: Tsne, present: Any, rows: int, place: tuple[float, float]
) -> None:
    numbered = len(tsne.classes) > _MOST_COLOURS
    if len(present) > _MOST_NAMES:
        text = f"{len(present)} classes, numbered in the order of their names"
        figure.text(*place, text, ha="center", **_SMALL)
        return
    handles = []
    for label in present.tolist():
        colour, marker = _look(label, tsne)
        name = tsne.classes[label]
        short = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
        handles.append(
            Line2D(
                [], [], linestyle="", marker=marker, markersize=5, color=colour,
                markeredgecolor="#333333", markeredgewidth=0.4,
                label=f"{label} {short}" if numbered else short,
            )
        )  # fmt: skip
    figure.legend(
        handles=handles,
        loc="lower center",
        bbox_to_anchor=place,
        borderaxespad=0,
        ncols=math.ceil(len(handles) / rows),
        frameon=False,
        fontsize=7,
        handletextpad=0.2,
        columnspacing=1.0,
        labelspacing=0.4,
    )


def _rendered(figure: Figure) -> Image.Image:
    figure.set_dpi(_DPI)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
