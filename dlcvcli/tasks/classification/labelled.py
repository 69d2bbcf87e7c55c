"""The labelled images that a classifier is scored on. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlcvcli.data.labelled_images import LabelledImages, check_labelled
from dlcvcli.data.labelled_split import open_for_model
from dlcvcli.reporter import Reporter
from dlcvcli.tasks.classification.card import ClassifierCard


def open_labelled(
    card: ClassifierCard,
    folder: Path,
    split: str,
    reporter: Reporter,
    *,
    allow_outside: bool = False,
) -> LabelledImages:
    """Open a split for a model, and report how its images were chosen; see `open_for_model`.

    Args:
        card: of the model.
        folder, split: the set, and the part of it.
        reporter: receives the lines.
        allow_outside: accept a CSV that names files outside of the folder.
    """
    opened = open_for_model(
        folder,
        split,
        seen=card.seen,
        classes=card.classes,
        layout=card.layout,
        size=card.image_size,
        regrouped=card.config["data"].get("holdout_by") is not None,
        allow_outside=allow_outside,
    )
    for line in opened.remarks:
        reporter.say(line)
    return opened.data


def describe_data(card: ClassifierCard, data: LabelledImages) -> dict[str, Any]:
    """Return the `data` of a result: where it is, how much, and how much the model has seen."""
    sha256, digests = check_labelled(data, decode=False)
    return {
        "path": str(data.root),
        "split": data.split,
        "images": len(data),
        "trained_on": None if card.seen is None else card.seen.count_trained(digests),
        "sha256": sha256,
    }


def warn_of_seen(
    cards: Mapping[str, ClassifierCard], data: LabelledImages, reporter: Reporter
) -> None:
    """Report which models were trained on images that they are scored on.

    Args:
        cards: name of each model -> its card.
        data: the images; their files are read.
        reporter: receives the warnings.
    """
    _, digests = check_labelled(data, decode=False)
    for name, card in cards.items():
        seen = 0 if card.seen is None else card.seen.count_trained(digests)
        if seen:
            reporter.say(f"warning: {name} was trained on {seen} of the {len(data)} images")
