"""The confusion matrix as a picture: where the pixels of each class went."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dlcvcli.errors import DataError
from dlcvcli.figures.style import new_figure, styled
from dlcvcli.runs import RunFolder

_CELL = 0.42
# Below this share a number says less than the empty cell.
_SHOWN_FROM = 0.005
_DARK_FROM = 0.55


def confusion_figure(names: Sequence[str], counts: Sequence[Sequence[int]]) -> Figure:
    """Draw a confusion matrix, each row as shares of its true class.

    Args:
        names: of the classes.
        counts: pixels by true class (row) and predicted class (column), of length `names` each.

    Raises:
        DataError: no pixel was counted, or the counts are not square.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    if matrix.shape != (len(names), len(names)):
        raise DataError(f"a matrix of {matrix.shape} does not go with {len(names)} classes")
    totals = matrix.sum(axis=1)
    if not totals.any():
        raise DataError("the confusion matrix counts no pixel")
    # A class without a true pixel has no shares: its row stays grey.
    shares = np.full_like(matrix, np.nan)
    shares[totals > 0] = matrix[totals > 0] / totals[totals > 0, None]
    side = max(2.6, _CELL * len(names))
    with styled():
        figure = new_figure(side + 3.0, side + 1.5)
        axes = figure.subplots()
        axes.grid(visible=False)
        axes.set_facecolor("#e6e6e6")
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for spine in axes.spines.values():
            spine.set_visible(True)
    for row, line in enumerate(shares):
        for column, share in enumerate(line):
            if share >= _SHOWN_FROM:
                axes.text(
                    column,
                    row,
                    f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.1f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if share >= _DARK_FROM else "black",
                    fontweight="bold" if row == column else "normal",
                )
    places = range(len(names))
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        places,
        [_with_share(n, t / totals.sum()) for n, t in zip(names, totals, strict=True)],
    )
    axes.tick_params(length=0)
    axes.set(xlabel="predicted class", ylabel="true class (share of all pixels)")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("share of the true class, numbers in %")
    bar.outline.set_visible(False)
    return figure


def read_confusion(source: Path) -> tuple[list[str], list[list[int]]]:
    """Return the classes and counts of an evaluation: what `dlcv eval --json` wrote, or of a run.

    Raises:
        DataError: the file is not there, or holds no confusion matrix of a segmenter.
    """
    file = RunFolder.open(source).results if source.is_dir() else source
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["metrics"]["confusion"]
        names = [str(name) for name in found["classes"]]
        return names, [[int(count) for count in row] for row in found["counts"]]
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} holds no confusion matrix", "make one: dlcv eval MODEL --data DIR --json FILE"
        ) from error


def _with_share(name: str, share: float) -> str:
    return f"{name} ({share:.1%})" if share else f"{name} (absent)"
