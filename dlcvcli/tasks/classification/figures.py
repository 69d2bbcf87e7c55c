"""The pictures at the end of a classification run, from its results and predictions."""

from __future__ import annotations

import csv
from dataclasses import dataclass

from dlcvcli.data.labelled_images import LabelledImages
from dlcvcli.figures.class_bars import accuracy_bars
from dlcvcli.figures.confusion import confusion_figure
from dlcvcli.figures.predictions import Card, predictions_figure
from dlcvcli.figures.reliability import reliability_figure
from dlcvcli.figures.style import save
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.classification.scoring import predictions_file
from dlcvcli.training.finished import final_metrics

# Images of each section of the picture of predictions.
_EACH = 8


@dataclass(frozen=True)
class _Prediction:
    """A line of `predictions.csv`, and the place of its image in the set."""

    index: int
    label: str
    predicted: str
    probability: float

    @property
    def right(self) -> bool:
        return self.label == self.predicted


def draw_run(run: RunFolder, data: LabelledImages) -> None:
    """Draw what the best checkpoint of a finished run predicts for its validation images.

    Args:
        run: with its results and predictions; without them, nothing is drawn.
        data: the validation images, in the order of the predictions.
    """
    metrics = final_metrics(run)
    if metrics is None or not predictions_file(run).is_file():
        return
    confusion = metrics["confusion"]
    figure = confusion_figure(confusion["classes"], confusion["counts"], unit="images")
    save(figure, run.figures / "confusion.png")
    figure = reliability_figure(metrics["reliability"], metrics["ece"])
    save(figure, run.figures / "reliability.png")
    save(accuracy_bars(metrics["per_class"]), run.figures / "classes.png")
    sections = {
        title: [_card(data, one) for one in chosen] for title, chosen in _chosen(run).items()
    }
    save(predictions_figure(sections, columns=_EACH), run.figures / "predictions.png")


def _chosen(run: RunFolder) -> dict[str, list[_Prediction]]:
    """Return title -> the predictions to show: evenly chosen, and the most confident mistakes."""
    with predictions_file(run).open(encoding="utf-8", newline="") as lines:
        every = [
            _Prediction(index, row["label"], row["predicted"], float(row["probability"]))
            for index, row in enumerate(csv.DictReader(lines))
        ]
    wrong = [one for one in every if not one.right]
    confident = sorted(wrong, key=lambda one: -one.probability)[:_EACH]
    sections = {
        "right": _evenly([one for one in every if one.right]),
        "wrong": _evenly([one for one in wrong if one not in confident]),
        "most confident mistakes": confident,
    }
    return {title: chosen for title, chosen in sections.items() if chosen}


def _evenly(predictions: list[_Prediction]) -> list[_Prediction]:
    count = min(_EACH, len(predictions))
    return [predictions[place * len(predictions) // count] for place in range(count)]


def _card(data: LabelledImages, one: _Prediction) -> Card:
    return Card(data.read(one.index).image, one.label, one.predicted, one.probability)
