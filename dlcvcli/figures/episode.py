"""One episode: its images, what each query was taken for, and where all of them lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
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
    wide = (shown + asked + 0.6) * _CELL + 1.6
    figure = new_figure(wide + _SIDE, max(_SIDE, ways * _CELL + 0.9))
    left, right = figure.subfigures(1, 2, width_ratios=(wide, _SIDE))
    colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in safe_colours(ways)]
    right_count = int((found.answers == found.predictions).sum())
    figure.suptitle(f"{found.title}: {right_count} of {len(found.answers)} queries right")
    _draw_images(left, found, colours, shown, asked)
    _draw_points(right, found, colours)
    return figure


def _draw_images(
    figure: Any, found: EpisodePicture, colours: list[str], shown: int, asked: int
) -> None:
    ways, shots = found.support.shape[:2]
    grid = figure.subplots(
        ways,
        shown + 1 + asked,
        squeeze=False,
        gridspec_kw={"width_ratios": [1] * shown + [0.4] + [1] * asked},
    )
    for axes in grid.ravel():
        axes.set_axis_off()
    for way in range(ways):
        name = found.names[way]
        short = name if len(name) <= _NAME else f"…{name[-_NAME + 1 :]}"
        grid[way][0].text(
            -0.25, 0.5, f"{short}  {way}", transform=grid[way][0].transAxes,
            ha="right", va="center", fontsize=7, color="black",
        )  # fmt: skip
        for shot in range(shown):
            _framed(grid[way][shot], found.support[way, shot], colours[way], 2.0)
        mine = np.flatnonzero(found.answers == way)
        # Wrong ones first, so that none of them is what is left out.
        mine = mine[np.argsort(found.predictions[mine] == way, kind="stable")][:asked]
        for place, query in enumerate(mine):
            axes, taken = grid[way][shown + 1 + place], int(found.predictions[query])
            good = taken == way
            _framed(axes, found.query[query], "#bbbbbb" if good else _WRONG, 0.6 if good else 2.0)
            if not good:
                axes.text(
                    0.04, 0.96, str(taken), transform=axes.transAxes, ha="left", va="top",
                    fontsize=7, color="white",
                    bbox={"facecolor": _WRONG, "edgecolor": "none", "pad": 1.0},
                )  # fmt: skip
    more = f" ({shown} of {shots})" if shown < shots else ""
    grid[0][0].set_title(f"support{more}", loc="left", fontsize=8)
    grid[0][shown + 1].set_title(
        "queries: a red frame is a wrong one, its number what it was taken for",
        loc="left",
        fontsize=8,
    )


def _framed(axes: Any, pixels: Pixels, colour: str, width: float) -> None:
    axes.imshow(pixels, interpolation="nearest")
    axes.set_axis_on()
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=width)


def _draw_points(figure: Any, found: EpisodePicture, colours: list[str]) -> None:
    ways, shots, width = found.support_points.shape
    axes = figure.subplots()
    points = np.concatenate([found.support_points.reshape(-1, width), found.query_points])
    if found.on_sphere:
        points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
    flat, share = flattened(points)
    support, query = flat[: ways * shots].reshape(ways, shots, 2), flat[ways * shots :]
    for way in range(ways):
        mine = found.answers == way
        good = mine & (found.predictions == way)
        axes.scatter(*query[good].T, s=16, color=colours[way], linewidths=0)
        axes.scatter(
            *query[mine & ~good].T, s=34, marker="X", color=colours[way],
            edgecolors="black", linewidths=0.7, zorder=3,
        )  # fmt: skip
        if shots > 1:
            axes.scatter(*support[way].T, s=22, marker="s", facecolors="none", color=colours[way])
        prototype = support[way].mean(axis=0)
        axes.scatter(
            *prototype, s=170, marker="*", color=colours[way], edgecolors="black",
            linewidths=0.8, zorder=4,
        )  # fmt: skip
        axes.annotate(str(way), prototype, xytext=(6, 5), textcoords="offset points", fontsize=8)
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
