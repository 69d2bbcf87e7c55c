"""The confusion matrix as a figure."""

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
# Cells with a smaller fraction show no number.
_SHOWN_FROM = 0.005
_DARK_FROM = 0.55
# The most classes whose cells have numbers.
_NUMBERED = 30


def confusion_figure(
    names: Sequence[str], counts: Sequence[Sequence[int]], *, unit: str = "pixels"
) -> Figure:
    """Draw a confusion matrix, with each row in per cent of its ground-truth class.

    Args:
        names: names of the classes.
        counts: pixels by ground-truth class (row) and predicted class (column).
        unit: what is counted.

    Raises:
        DataError: all counts are 0, or there is not one row and column for each class.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    if matrix.shape != (len(names), len(names)):
        raise DataError(
            f"a confusion matrix of shape {matrix.shape} does not match {len(names)} classes"
        )
    totals = matrix.sum(axis=1)
    if not totals.any():
        raise DataError(f"the confusion matrix contains no {unit}")
    # The row of a class without ground-truth pixels stays grey.
    fractions = np.full_like(matrix, np.nan)
    fractions[totals > 0] = matrix[totals > 0] / totals[totals > 0, None]
    # The cells of many classes get smaller, and have no numbers.
    cell = _CELL if len(names) <= _NUMBERED else _CELL * max(0.4, _NUMBERED / len(names))
    side = max(2.6, cell * len(names))
    with styled():
        figure = new_figure(side + 3.0, side + 1.5)
        axes = figure.subplots()
        axes.grid(visible=False)
        axes.set_facecolor("#e6e6e6")
        image = axes.imshow(100 * fractions, cmap="Blues", vmin=0, vmax=100)
        for spine in axes.spines.values():
            spine.set_visible(True)
    for row, line in enumerate(fractions if len(names) <= _NUMBERED else ()):
        for column, fraction in enumerate(line):
            if fraction >= _SHOWN_FROM:
                axes.text(
                    column,
                    row,
                    f"{100 * fraction:.0f}" if fraction >= 0.1 else f"{100 * fraction:.1f}",
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if fraction >= _DARK_FROM else "black",
                    fontweight="bold" if row == column else "normal",
                )
    places = range(len(names))
    small = 9 if len(names) <= _NUMBERED else 6
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=small)
    axes.set_yticks(
        places,
        [_with_fraction(n, t / totals.sum()) for n, t in zip(names, totals, strict=True)],
        fontsize=small,
    )
    axes.tick_params(length=0)
    axes.set(xlabel="predicted class", ylabel=f"ground truth (fraction of all {unit})")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, pad=0.02)
    bar.set_label("% of the ground-truth class")
    bar.outline.set_visible(False)
    return figure


def read_confusion(source: Path) -> tuple[list[str], list[list[int]]]:
    """Return classes and counts from the JSON of `dlcv eval --json`, or from a run folder.

    Raises:
        DataError: the file does not exist, or holds no confusion matrix.
    """
    file = RunFolder.open(source).results if source.is_dir() else source
    try:
        confusion = json.loads(file.read_text(encoding="utf-8"))["metrics"]["confusion"]
        names = [str(name) for name in confusion["classes"]]
        return names, [[int(count) for count in row] for row in confusion["counts"]]
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file} holds no confusion matrix",
            "create one with: dlcv eval MODEL --data DIR --json FILE",
        ) from error


def _with_fraction(name: str, fraction: float) -> str:
    return f"{name} ({fraction:.1%})" if fraction else f"{name} (absent)"
