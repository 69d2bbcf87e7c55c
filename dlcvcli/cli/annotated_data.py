"""The annotated images that a segmenter is scored on or shown, as its card says to read them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcvcli.data.segmentation import SegmentationSet
    from dlcvcli.tasks.segmentation.card import SegmenterCard


def open_annotated(
    card: SegmenterCard, folder: Path, split: str, *, size: tuple[int, int] | None
) -> SegmentationSet:
    """Open a split for a model, and say how its images were chosen; see `open_for_model`.

    Args:
        card: of the model.
        folder, split: the set, and which part of it.
        size: stretch every image to (height, width); None leaves its own size.
    """
    from dlcvcli.cli.console import say
    from dlcvcli.data.segmentation_split import open_for_model

    opened = open_for_model(
        folder,
        split,
        seen=card.seen,
        classes=card.classes,
        layout=card.layout,
        size=size,
        binarise=card.binarise,
    )
    for line in opened.remarks:
        say(line)
    return opened.data


def warn_of_seen(cards: Mapping[str, SegmenterCard], data: SegmentationSet) -> None:
    """Say which models were trained on images that they are shown or scored on.

    Args:
        cards: what to call each model -> its card.
        data: the images, whose files are read for it.
    """
    from dlcvcli.cli.console import say
    from dlcvcli.data.segmentation_split import image_digests

    digests = image_digests(data.pairs)
    for name, card in cards.items():
        seen = 0 if card.seen is None else card.seen.count_trained(digests)
        if seen:
            say(f"warning: {name} was trained on {seen} of the {len(data)} images")
