"""Reliability diagrams: how often a model is right at each confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from dlcvcli.errors import DataError
from dlcvcli.figures.style import SERIES, in_style, new_figure


@in_style
def reliability_figure(bins: Sequence[Mapping[str, Any]], ece: float, *, title: str = "") -> Figure:
    """Draw the accuracy of each bin of confidences, above the fraction of images in it.

    A calibrated model's bars end at the diagonal. The line from a bar to the mean confidence of
    its images is the gap that the expected calibration error averages (Guo et al. 2017, figure 1).

    Args:
        bins: each with the interval of its confidences (`low`, `high`), the `count` of predictions
            in it, and their `accuracy` and mean `confidence`, None without any.
        ece: expected calibration error, in [0, 1].
        title: title of the figure.

    Raises:
        DataError: there is no prediction.
    """
    total = sum(one["count"] for one in bins)
    if not total:
        raise DataError("there is no prediction to draw")
    filled = [one for one in bins if one["count"]]
    middles = [(one["low"] + one["high"]) / 2 for one in filled]
    look = {"width": [0.92 * (one["high"] - one["low"]) for one in filled], "linewidth": 0}
    accuracies = [one["accuracy"] for one in filled]
    confidences = [one["confidence"] for one in filled]
    figure = new_figure(4.4, 5.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color="#777777", linestyle="--", linewidth=1)
    upper.bar(middles, accuracies, color=SERIES[0], label="accuracy", **look)
    upper.vlines(confidences, accuracies, confidences, color=SERIES[1], linewidth=2.2, label="gap")
    lower.bar(middles, [one["count"] / total for one in filled], color=SERIES[0], **look)
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    upper.legend(loc="upper left", frameon=False)
    upper.text(
        0.97, 0.04, f"ECE {ece:.3f}", transform=upper.transAxes, ha="right", va="bottom",
        fontweight="bold", bbox={"facecolor": "white", "edgecolor": "#bbbbbb", "pad": 3},
    )  # fmt: skip
    lower.set(xlabel="confidence: probability of the predicted class", ylabel="fraction of images")
    for axes in (upper, lower):
        axes.set_axisbelow(True)
    if title:
        figure.suptitle(title)
    return figure
