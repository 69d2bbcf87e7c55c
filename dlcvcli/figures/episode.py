"""One episode: its images, the predicted classes of its queries, and the embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from dlcvcli.data.reading import Pixels
from dlcvcli.figures.colours import safe_colours
from dlcvcli.figures.style import in_style, new_figure, text_width
from dlcvcli.prototypes import Floats

Ints = NDArray[np.int64]

_CELL = 0.52
_MOST_SHOTS = 5
_MOST_QUERIES = 15
_NAME, _NAME_SIZE = 28, 7.0
_SIDE = 4.6
_WRONG = "#c1121f"
# The edge keeps pale colours visible.
_EDGE: Any = {"edgecolors": "#555555", "linewidths": 0.4}
# Widths, in images: between support and queries, around each image, and of the heading of queries;
# in inches: of the margins beside the names.
_GAP, _RIM, _HEADING, _MARGIN = 0.5, 0.06, 6, 0.4


@dataclass(frozen=True)
class EpisodePicture:
    """Content of the figure of an episode.

    Attributes:
        title: title, e.g. with model and episode.
        names: names of the N classes.
        support: uint8 [N, K, H, W, 3].
        query: uint8 [M, H, W, 3].
        answers, predictions: int64 [M].
        support_points: float32 [N, K, D], embeddings.
        query_points: float32 [M, D].
        on_sphere: normalise embeddings to length 1, for the cosine distance.
    """

    title: str
    names: tuple[str, ...]
    support: Pixels
    query: Pixels
    answers: Ints
    predictions: Ints
    support_points: Floats
    query_points: Floats
    on_sphere: bool = False


@in_style
def episode_figure(episode: EpisodePicture) -> Figure:
    """Draw a row for each class, with support and queries, and the embeddings in two dimensions.

    The embeddings are projected onto their first two principal components. A red frame marks a
    query that was misclassified, with the number of its predicted class.
    """
    ways, shots = episode.support.shape[:2]
    shown = min(shots, _MOST_SHOTS)
    most = max(int((episode.answers == way).sum()) for way in range(ways))
    columns = min(most, _MOST_QUERIES)
    names = [_row_name(name, way) for way, name in enumerate(episode.names)]
    before = (max(text_width(name, _NAME_SIZE) for name in names) + _MARGIN) / _CELL
    after = shown + _GAP + max(columns, _HEADING)
    wide, high = (before + after) * _CELL, (ways + 1) * _CELL
    figure = new_figure(wide + _SIDE, max(_SIDE, high + 0.6))
    parts: Any = figure.subfigures(1, 2, width_ratios=(wide, _SIDE))
    left, right = parts
    colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in safe_colours(ways)]
    correct = int((episode.answers == episode.predictions).sum())
    figure.suptitle(f"{episode.title}: {correct} of {len(episode.answers)} queries correct")
    axes = left.subplots()
    # One pair of axes for all images, in units of one image.
    axes.set(xlim=(-before, after), ylim=(ways, -1), aspect="equal", anchor="N")
    axes.set_axis_off()
    for way, name in enumerate(names):
        text = axes.text(-0.15, way + 0.5, name, ha="right", va="center", fontsize=_NAME_SIZE)
        # Its space is in `before`; the layout would shrink the images for it once more.
        text.set_in_layout(False)
    _draw_images(axes, episode, colours, shown, columns)
    _draw_points(right, episode, colours)
    return figure


def _row_name(name: str, way: int) -> str:
    """Return a class name with its number; of a long one, the end, in which classes differ."""
    short = name if len(name) <= _NAME else f"…{name[-_NAME + 1 :]}"
    return f"{short}  {way}"


def _draw_images(
    axes: Any, episode: EpisodePicture, colours: list[str], shown: int, columns: int
) -> None:
    ways, shots = episode.support.shape[:2]
    for way in range(ways):
        for shot in range(shown):
            _framed(axes, (shot, way), episode.support[way, shot], colours[way], 2.0)
        queries = np.flatnonzero(episode.answers == way)
        # Misclassified queries first, so that none of them is left out.
        queries = queries[np.argsort(episode.predictions[queries] == way, kind="stable")][:columns]
        for place, query in enumerate(queries):
            corner, predicted = (shown + _GAP + place, way), int(episode.predictions[query])
            correct = predicted == way
            colour, width = ("#bbbbbb", 0.6) if correct else (_WRONG, 2.0)
            _framed(axes, corner, episode.query[query], colour, width)
            if not correct:
                axes.text(
                    corner[0] + 0.12, way + 0.12, str(predicted), ha="left", va="top", fontsize=6.5,
                    color="white", bbox={"facecolor": _WRONG, "edgecolor": "none", "pad": 0.8},
                )  # fmt: skip
    more = f" ({shown} of {shots})" if shown < shots else ""
    axes.text(0, -0.2, f"support{more}", fontsize=8, ha="left" if shown > 1 else "right")
    axes.text(shown + _GAP, -0.2, "queries; in red: wrong, with the predicted class", fontsize=8)


def _framed(
    axes: Any, corner: tuple[float, float], pixels: Pixels, colour: str, width: float
) -> None:
    """Draw an image with a frame into the unit square at its upper left corner."""
    x, y = corner
    inside = (x + _RIM, x + 1 - _RIM, y + 1 - _RIM, y + _RIM)
    axes.imshow(pixels, extent=inside, interpolation="nearest", aspect="equal")
    side = 1 - 2 * _RIM
    axes.add_patch(
        Rectangle((x + _RIM, y + _RIM), side, side, fill=False, edgecolor=colour, linewidth=width)
    )


def _draw_points(figure: Any, episode: EpisodePicture, colours: list[str]) -> None:
    ways, shots, width = episode.support_points.shape
    axes = figure.subplots()
    points = np.concatenate(
        [
            episode.support_points.reshape(-1, width),
            episode.support_points.mean(axis=1),
            episode.query_points,
        ]
    )
    if episode.on_sphere:
        # The cosine distance normalises embeddings, and a prototype after the mean.
        points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    projected, fractions = principal_components(points)
    support, centres, query = np.split(projected, (ways * shots, ways * (shots + 1)))
    support = support.reshape(ways, shots, 2)
    for way in range(ways):
        of_class = episode.answers == way
        correct = of_class & (episode.predictions == way)
        axes.scatter(*query[correct].T, s=18, color=colours[way], **_EDGE)
        axes.scatter(
            *query[of_class & ~correct].T, s=34, marker="X", color=colours[way],
            edgecolors="black", linewidths=0.7, zorder=3,
        )  # fmt: skip
        if shots > 1:
            axes.scatter(*support[way].T, s=18, marker="s", color=colours[way], **_EDGE)
        prototype = centres[way]
        axes.scatter(
            *prototype, s=170, marker="*", color=colours[way], edgecolors="black",
            linewidths=0.8, zorder=4,
        )  # fmt: skip
        axes.annotate(
            str(way), prototype, xytext=(6, 5), textcoords="offset points", fontsize=8, zorder=5
        )
    axes.set(
        xlabel=f"first principal component ({fractions[0]:.0%} of the variance)",
        ylabel=f"second principal component ({fractions[1]:.0%})",
    )
    axes.set_title("embeddings" + (", normalised" if episode.on_sphere else ""), fontsize=8)
    marks: list[tuple[str, str, float]] = [("*", "prototype", 11), ("o", "query, correct", 5)]
    marks += [("X", "query, wrong", 6)] + ([("s", "support", 5)] if shots > 1 else [])
    handles = [
        Line2D([], [], marker=mark, linestyle="", markersize=size, color="#777777", label=name,
               markeredgecolor="black" if mark in "*X" else "#777777")
        for mark, name, size in marks
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=len(marks), frameon=False,
                  fontsize=8)  # fmt: skip


def principal_components(points: Floats) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return the first two principal components [n, 2] of points [n, D], and their variances.

    The variances are fractions of the total. The largest weight of each component is positive, so
    that the same points give the same figure on any machine.
    """
    centred = np.asarray(points, np.float64) - points.mean(axis=0, dtype=np.float64)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    total = float(np.square(sizes).sum()) or 1.0
    projected = np.zeros((len(points), 2))
    fractions = [0.0, 0.0]
    for component in range(min(2, len(sizes))):
        direction = axes[component]
        sign = np.sign(direction[np.abs(direction).argmax()]) or 1.0
        projected[:, component] = centred @ (sign * direction)
        fractions[component] = float(sizes[component] ** 2) / total
    return projected, (fractions[0], fractions[1])
