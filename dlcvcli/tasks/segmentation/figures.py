"""The figures of `dlcv figure` that only segmentation has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dlcvcli.data.cover import class_shares, greedy_cover
from dlcvcli.data.layouts import find_image
from dlcvcli.data.segmentation import SegmentationSet, open_split
from dlcvcli.errors import DataError, UsageError
from dlcvcli.figures.colours import recoloured
from dlcvcli.figures.confusion import confusion_figure, read_confusion
from dlcvcli.figures.grids import annotation_grid
from dlcvcli.figures.masks import Row, saved_steps, side_by_side, snapshot_grid
from dlcvcli.figures.output import titles_of
from dlcvcli.figures.style import save
from dlcvcli.palette import ClassSet
from dlcvcli.reporter import Reporter
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.tasks.segmentation.annotated import open_annotated, warn_of_seen
from dlcvcli.tasks.segmentation.data import read_classes
from dlcvcli.tasks.segmentation.examples import Example, predict_examples, rank_images
from dlcvcli.tasks.segmentation.flags import CompareFlags, ConfusionFlags, GridFlags, SnapshotFlags
from dlcvcli.tasks.segmentation.load import load_predictor
from dlcvcli.tasks.segmentation.predictor import Predictor


def draw_snapshots(flags: SnapshotFlags) -> Path:
    """Draw the masks that a run saved; return the file.

    Raises:
        DataError: the run saved no such masks, or is no run of segmentation.
        UsageError: an epoch is given, and no record says how long an epoch is.
    """
    run = RunFolder.open(flags.run)
    target = flags.out or run.figures / "snapshots.png"
    per_epoch = run.steps_per_epoch()
    if flags.epoch and per_epoch is None:
        raise UsageError(
            f"{flags.run} has no records that say how long an epoch is", "leave --epoch out"
        )
    steps = _nearest_steps(run, per_epoch or 1, flags.epoch or [])
    classes = _coloured(read_classes(run), flags.colour_blind)
    figure = snapshot_grid(run, classes, per_epoch, images=flags.image or (), steps=steps)
    save(figure, target)
    return target


def _nearest_steps(run: RunFolder, per_epoch: int, epochs: list[float]) -> list[int]:
    """Return the saved step that is nearest to each epoch, at most half an epoch away."""
    saved = saved_steps(run)
    steps = []
    for epoch in epochs if saved else ():
        nearest = min(saved, key=lambda step: abs(step - epoch * per_epoch))
        if 2 * abs(nearest - epoch * per_epoch) > per_epoch:
            listed = ", ".join(f"{step / per_epoch:.3g}" for step in saved)
            raise DataError(
                f"{run.path} saved no masks of epoch {epoch:g}; it saved those of epochs {listed}",
                "choose the epochs when training: --set 'snapshot.epochs=[1, 10, 20]'",
            )
        steps.append(nearest)
    return list(dict.fromkeys(steps))


def draw_comparison(flags: CompareFlags, reporter: Reporter) -> Path:
    """Draw image, ground truth and the masks of several models side by side; return the file.

    Raises:
        UsageError: models of different classes, or names that do not fit.
        DataError: an image cannot be read, or is not in the set.
    """
    titles = titles_of(flags.models, flags.name)
    predictors, data = _open_models(
        dict(zip(titles, flags.models, strict=True)), flags.data, flags.split, reporter
    )
    indices = [data.pairs.index(find_image(data.pairs, name)) for name in flags.image or ()]
    indices += _extremes(predictors[titles[0]], data, flags.worst, flags.best, reporter)
    if not indices:
        indices = evenly_chosen(flags.count, len(data))
    rows = rows_of(predictors, data, list(dict.fromkeys(indices)))
    classes = _coloured(data.classes, flags.colour_blind)
    save(side_by_side(rows, classes, outlined=flags.outlines), flags.out)
    return flags.out


def evenly_chosen(most: int, total: int) -> list[int]:
    """Return the places of at most `most` of `total` images, evenly spaced."""
    count = min(most, total)
    return [place * total // count for place in range(count)]


def rows_of(
    predictors: Mapping[str, Predictor], data: SegmentationSet, indices: list[int]
) -> list[Row]:
    """Return images with ground truth and predicted masks, as rows of `side_by_side`."""
    return [
        Row(one.name, one.image, one.ground_truth, one.masks, _captions(one))
        for one in predict_examples(predictors, data, indices)
    ]


def _open_models(
    models: dict[str, Path], folder: Path, split: str, reporter: Reporter
) -> tuple[dict[str, Predictor], SegmentationSet]:
    """Load models of the same classes, and the split that they are shown."""
    predictors = {
        title: load_predictor(find_model(path), fixed_shapes=False)
        for title, path in models.items()
    }
    cards = {title: predictor.card for title, predictor in predictors.items()}
    first, card = next(iter(cards.items()))
    for title, other in cards.items():
        if other.classes.names != card.classes.names:
            raise UsageError(
                f"{first} has {len(card.classes)} classes of '{card.classes.name}', and {title} "
                f"has {len(other.classes)} of '{other.classes.name}'",
                "compare models of the same classes",
            )
    # Every model stretches them by itself.
    data = open_annotated(card, folder, split, reporter, size=None)
    warn_of_seen(cards, data, reporter)
    return predictors, data


def _extremes(
    predictor: Predictor, data: SegmentationSet, worst: int, best: int, reporter: Reporter
) -> list[int]:
    if not worst + best:
        return []
    with reporter.counting("finding the worst and the best images") as progress:
        ranked = rank_images(predictor, data, progress)
    return [*ranked[:worst], *ranked[max(worst, len(ranked) - best) :][::-1]]


def _captions(example: Example) -> dict[str, str]:
    return {
        title: f"mIoU {'–' if score is None else f'{score:.3f}'}"
        for title, score in example.scores.items()
    }


def draw_grid(flags: GridFlags, reporter: Reporter) -> Path:
    """Draw images that together show all classes, each beside its annotation; return the file.

    Raises:
        UsageError: an odd number of columns.
        DataError: the set cannot be used.
    """
    if flags.columns % 2:
        raise UsageError(f"--columns {flags.columns} is odd, and every image takes two", "e.g. 10")
    data = open_split(
        flags.data,
        flags.split,
        layout=flags.layout,
        classes=flags.classes,
        ignore_index=flags.ignore_index,
        binarise=bool(flags.binarise),
    )
    with reporter.counting("looking for classes") as progress:
        shares = class_shares(data, progress)
    chosen = greedy_cover(shares, flags.count)
    names = data.classes.names
    missing = [n for n, share in zip(names, shares[chosen].max(axis=0), strict=True) if not share]
    shown = "1 image shows" if len(chosen) == 1 else f"{len(chosen)} images show"
    reporter.say(f"{shown} {len(names) - len(missing)} of {len(names)} classes")
    if missing:
        reporter.say(f"without: {', '.join(missing)}")
    samples = [data.read(index) for index in chosen]
    classes = _coloured(data.classes, flags.colour_blind)
    save(annotation_grid(samples, classes, columns=flags.columns), flags.out)
    return flags.out


def draw_confusion(flags: ConfusionFlags) -> Path:
    """Draw the confusion matrix of an evaluation; return the file.

    Raises:
        DataError: the source holds none.
    """
    save(confusion_figure(*read_confusion(flags.source)), flags.out)
    return flags.out


def _coloured(classes: ClassSet, colour_blind: bool | None) -> ClassSet:
    return recoloured(classes) if colour_blind else classes
