"""One episode: its images, what each query was taken for, and where all of them lie."""

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
from dlcvcli.figures.style import in_style, new_figure
from dlcvcli.prototypes import Floats

Ints = NDArray[np.int64]

_CELL = 0.52
_MOST_SHOTS = 5
_MOST_QUERIES = 15
_NAME = 18
_SIDE = 4.6
_WRONG = "#c1121f"
# Pale colours are seen by their rim.
_EDGE: Any = {"edgecolors": "#555555", "linewidths": 0.4}
# In images: room for the names, between support and queries, and around each.
_NAMES, _GAP, _RIM = 2.7, 0.5, 0.06


@dataclass(frozen=True)
class EpisodePicture:
    """What is drawn of an episode.

    Attributes:
        title: e.g. which model and episode.
        names: of the N classes.
        support: uint8 [N, K, H, W, 3].
        query: uint8 [M, H, W, 3].
        answers, predictions: int64 [M].
        support_points: float32 [N, K, D], embeddings.
        query_points: float32 [M, D].
        on_sphere: compare directions instead of places, as the cosine does.
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
def episode_figure(found: EpisodePicture) -> Figure:
    """Draw a row a class, support then queries, beside the embeddings in two dimensions.

    The two are those along which the embeddings of the episode differ most (principal components).
    A query in a red frame was taken for the class whose number stands on it.
    """
    ways, shots = found.support.shape[:2]
    shown = min(shots, _MOST_SHOTS)
    most = max(int((found.answers == way).sum()) for way in range(ways))
    asked = min(most, _MOST_QUERIES)
    wide, high = (_NAMES + shown + _GAP + asked) * _CELL, (ways + 1) * _CELL
    figure = new_figure(wide + _SIDE, max(_SIDE, high + 0.6))
    parts: Any = figure.subfigures(1, 2, width_ratios=(wide, _SIDE))
    left, right = parts
    colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in safe_colours(ways)]
    right_count = int((found.answers == found.predictions).sum())
    figure.suptitle(f"{found.title}: {right_count} of {len(found.answers)} queries right")
    axes = left.subplots()
    # One frame for all images, in units of one of them.
    axes.set(xlim=(-_NAMES, shown + _GAP + asked), ylim=(ways, -1), aspect="equal", anchor="N")
    axes.set_axis_off()
    _draw_images(axes, found, colours, shown, asked)
    _draw_points(right, found, colours)
    return figure


def _draw_images(
    axes: Any, found: EpisodePicture, colours: list[str], shown: int, asked: int
) -> None:
    ways, shots = found.support.shape[:2]
    for way in range(ways):
        name = found.names[way]
        short = name if len(name) <= _NAME else f"…{name[-_NAME + 1 :]}"
        axes.text(-0.15, way + 0.5, f"{short}  {way}", ha="right", va="center", fontsize=7)
        for shot in range(shown):
            _framed(axes, (shot, way), found.support[way, shot], colours[way], 2.0)
        mine = np.flatnonzero(found.answers == way)
        # Wrong ones first, so that none of them is what is left out.
        mine = mine[np.argsort(found.predictions[mine] == way, kind="stable")][:asked]
        for place, query in enumerate(mine):
            corner, taken = (shown + _GAP + place, way), int(found.predictions[query])
            good = taken == way
            colour, width = ("#bbbbbb", 0.6) if good else (_WRONG, 2.0)
            _framed(axes, corner, found.query[query], colour, width)
            if not good:
                axes.text(
                    corner[0] + 0.12, way + 0.12, str(taken), ha="left", va="top", fontsize=6.5,
                    color="white", bbox={"facecolor": _WRONG, "edgecolor": "none", "pad": 0.8},
                )  # fmt: skip
    more = f" ({shown} of {shots})" if shown < shots else ""
    axes.text(0, -0.2, f"support{more}", fontsize=8, ha="left" if shown > 1 else "right")
    axes.text(shown + _GAP, -0.2, "queries; in red: wrong, and what it was taken for", fontsize=8)


def _framed(
    axes: Any, corner: tuple[float, float], pixels: Pixels, colour: str, width: float
) -> None:
    """Draw an image into the unit square whose upper left corner is given."""
    x, y = corner
    inside = (x + _RIM, x + 1 - _RIM, y + 1 - _RIM, y + _RIM)
    axes.imshow(pixels, extent=inside, interpolation="nearest", aspect="equal")
    side = 1 - 2 * _RIM
    axes.add_patch(
        Rectangle((x + _RIM, y + _RIM), side, side, fill=False, edgecolor=colour, linewidth=width)
    )


def _draw_points(figure: Any, found: EpisodePicture, colours: list[str]) -> None:
    ways, shots, width = found.support_points.shape
    axes = figure.subplots()
    points = np.concatenate(
        [
            found.support_points.reshape(-1, width),
            found.support_points.mean(axis=1),
            found.query_points,
        ]
    )
    if found.on_sphere:
        # As the cosine sees them; a prototype, too, is scaled after its mean.
        points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    flat, share = flattened(points)
    support, centres, query = np.split(flat, (ways * shots, ways * (shots + 1)))
    support = support.reshape(ways, shots, 2)
    for way in range(ways):
        mine = found.answers == way
        good = mine & (found.predictions == way)
        axes.scatter(*query[good].T, s=18, color=colours[way], **_EDGE)
        axes.scatter(
            *query[mine & ~good].T, s=34, marker="X", color=colours[way],
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
        xlabel=f"first component ({share[0]:.0%} of the variance)",
        ylabel=f"second component ({share[1]:.0%})",
    )
    axes.set_title("embeddings" + (", length 1" if found.on_sphere else ""), fontsize=8)
    marks: list[tuple[str, str, float]] = [("*", "prototype", 11), ("o", "query, right", 5)]
    marks += [("X", "query, wrong", 6)] + ([("s", "support", 5)] if shots > 1 else [])
    handles = [
        Line2D([], [], marker=mark, linestyle="", markersize=size, color="#777777", label=name,
               markeredgecolor="black" if mark in "*X" else "#777777")
        for mark, name, size in marks
    ]  # fmt: skip
    figure.legend(handles=handles, loc="outside lower center", ncols=len(marks), frameon=False,
                  fontsize=8)  # fmt: skip


def flattened(points: Floats) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Return points [n, D] along their two main components, [n, 2], and each's share of variance.

    The sign of a component is such that its largest weight is positive: the same points give the
    same picture on any machine.
    """
    centred = np.asarray(points, np.float64) - points.mean(axis=0, dtype=np.float64)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    total = float(np.square(sizes).sum()) or 1.0
    found = np.zeros((len(points), 2))
    shares = [0.0, 0.0]
    for component in range(min(2, len(sizes))):
        direction = axes[component]
        sign = np.sign(direction[np.abs(direction).argmax()]) or 1.0
        found[:, component] = centred @ (sign * direction)
        shares[component] = float(sizes[component] ** 2) / total
    return found, (shares[0], shares[1])
