"""The annotated images that a segmenter is scored on or shown, as its card says to read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcvcli.data.segmentation import SegmentationSet
    from dlcvcli.runtime.metadata import SegmenterCard


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
