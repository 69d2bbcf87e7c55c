"""What models make of single images: for figures, and for finding the worst and the best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dlcvcli.data.reading import Pixels, Progress, stretch
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.metrics import SegmentationScore
from dlcvcli.palette import ClassSet, Mask
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.predictor import Predictor


@dataclass(frozen=True)
class Example:
    """An annotated image and what models predict for it.

    Attributes:
        name: what users call it.
        image: uint8 [H, W, 3], RGB.
        ground_truth: uint8 [h, w].
        masks: model -> uint8 [h, w].
        scores: model -> mIoU of this image, None where it has no labelled pixel.
    """

    name: str
    image: Pixels
    ground_truth: Mask
    masks: dict[str, Mask]
    scores: dict[str, float | None]


def predict_examples(
    predictors: Mapping[str, Predictor], data: SegmentationSet, indices: list[int]
) -> Iterator[Example]:
    """Predict some images of a set with several models.

    Args:
        predictors: title -> model; each gets the images stretched to its own size.
        data: of images as they are, without a size of its own.
        indices: which.

    Raises:
        DataError: an image cannot be read.
    """
    for index in indices:
        sample = data.read(index)
        size = sample.mask.shape[0], sample.mask.shape[1]
        masks = {
            title: predictor(sized_for(predictor, sample.image)[None], size, StageClock())[0]
            for title, predictor in predictors.items()
        }
        scores = {
            title: image_miou(sample.mask, mask, data.classes) for title, mask in masks.items()
        }
        yield Example(sample.name, sample.image, sample.mask, masks, scores)


def sized_for(predictor: Predictor, image: Pixels) -> Pixels:
    """Return an image stretched as a model wants it."""
    size = predictor.card.size
    return image if size is None else stretch(image, size)


def rank_images(
    predictor: Predictor, data: SegmentationSet, progress: Progress | None = None
) -> list[int]:
    """Return the images of a set from the worst to the best by their own mIoU.

    Those without a labelled pixel are left out; of equals, the first comes first.
    """
    scores = []
    for done, example in enumerate(
        predict_examples({"": predictor}, data, list(range(len(data)))), 1
    ):
        scores.append(example.scores[""])
        if progress is not None:
            progress(done, len(data))
    rated = [(score, index) for index, score in enumerate(scores) if score is not None]
    return [index for _, index in sorted(rated)]


def image_miou(ground_truth: Mask, mask: Mask, classes: ClassSet) -> float | None:
    """Return the mIoU of one image under the convention `voc`; None without a labelled pixel.

    Over one image, a class counts as soon as one pixel of it is there or predicted, so this is
    harsher than a set's mIoU; it serves to rank images.
    """
    score = SegmentationScore(classes)
    score.update(ground_truth, mask)
    miou: float | None = score.compute()["miou"]
    return miou
