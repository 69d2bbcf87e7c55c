"""The annotated images that a segmentation model is scored on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dlcvcli.data.seen_split import file_digests
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.data.segmentation_split import open_for_model
from dlcvcli.reporter import Reporter
from dlcvcli.tasks.segmentation.card import SegmenterCard


def open_annotated(
    card: SegmenterCard,
    folder: Path,
    split: str,
    reporter: Reporter,
    *,
    size: tuple[int, int] | None,
) -> SegmentationSet:
    """Open a split for a model, and report how its images were chosen; see `open_for_model`.

    Args:
        card: of the model.
        folder, split: the set, and the part of it.
        reporter: receives the lines.
        size: stretch every image to (height, width); None keeps its own size.
    """
    opened = open_for_model(
        folder,
        split,
        seen=card.seen,
        classes=card.classes,
        layout=card.layout,
        size=size,
        binarise=card.binarise,
        regrouped=card.config["data"].get("holdout_by") is not None,
    )
    for line in opened.remarks:
        reporter.say(line)
    return opened.data


def warn_of_seen(
    cards: Mapping[str, SegmenterCard], data: SegmentationSet, reporter: Reporter
) -> None:
    """Report which models were trained on images that they are shown or scored on.

    Args:
        cards: name of each model -> its card.
        data: the images; their files are read.
        reporter: receives the warnings.
    """
    digests = file_digests(data.files)
    for name, card in cards.items():
        seen = 0 if card.seen is None else card.seen.count_trained(digests)
        if seen:
            reporter.say(f"warning: {name} was trained on {seen} of the {len(data)} images")
