"""The figures of a study of segmentation models, drawn from their run folders."""

from __future__ import annotations

from pathlib import Path

from dlcvcli.data.masks import read_mask
from dlcvcli.data.reading import read_rgb
from dlcvcli.figures.class_bars import class_bars
from dlcvcli.figures.masks import Row, side_by_side, snapshot_grid
from dlcvcli.figures.style import save
from dlcvcli.outcomes.curves import draw_curves
from dlcvcli.outcomes.page import Picture
from dlcvcli.outcomes.runs import Comparison
from dlcvcli.palette import Mask
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.class_scores import class_set, iou_of, scored_classes
from dlcvcli.tasks.segmentation.examples import sized_for
from dlcvcli.tasks.segmentation.load import load_predictor


def draw_classes(comparison: Comparison, folder: Path) -> list[Picture]:
    """Draw the IoU of every class, a bar a run."""
    names, path = scored_classes(comparison), folder / "classes.png"
    if not names:
        return []
    scores = {}
    for run in comparison.runs:
        if run.finished:
            spreads = {name: iou_of(run, name) for name in names}
            scores[run.label] = {name: (one.mean, one.sd) for name, one in spreads.items()}
    save(class_bars(names, scores), path)
    return [
        Picture(
            path,
            "IoU of every class as bars, the runs side by side",
            "IoU of every class on the validation images.",
        )
    ]


def draw_snapshots(comparison: Comparison, folder: Path) -> list[Picture]:
    """Draw the masks during training, for each run of the first seed that saved any."""
    classes, pictures = class_set(comparison), []
    for run in comparison.runs:
        saved = [one.folder for one in run.seeds if any(one.folder.snapshots.glob("*/step-*.png"))]
        if classes is None or not saved:
            continue
        path = folder / f"snapshots-{run.name}.png"
        save(snapshot_grid(saved[0], classes, saved[0].steps_per_epoch()), path)
        pictures.append(
            Picture(
                path,
                f"Masks of {run.label} during training, above the ground truth",
                f"{run.label}: masks during training, the ground truth below.",
            )
        )
    return pictures


def draw_side_by_side(comparison: Comparison, folder: Path) -> list[Picture]:
    """Draw image, ground truth and the masks of every run, of the first seed that all share."""
    classes, path = class_set(comparison), folder / "side-by-side.png"
    runs = _runs_to_show(comparison)
    images = _shown_images(next(iter(runs.values()))) if runs else []
    if classes is None or not images:
        return []
    if not all(run.best.is_file() or run.last.is_file() for run in runs.values()):
        return []
    masks: list[dict[str, Mask]] = [{} for _ in images]
    pixels = [read_rgb(image / "image.png") for image in images]
    for label, run in runs.items():
        # One network at a time: those of a study need not fit into memory together.
        predictor = load_predictor(find_model(run.path))
        for rgb, predicted in zip(pixels, masks, strict=True):
            size = rgb.shape[0], rgb.shape[1]
            predicted[label] = predictor(sized_for(predictor, rgb)[None], size, StageClock())[0]
    rows = [
        Row(image.name, rgb, read_mask(image / "truth.png", classes), predicted)
        for image, rgb, predicted in zip(images, pixels, masks, strict=True)
    ]
    save(side_by_side(rows, classes, outlined=True), path)
    return [
        Picture(
            path,
            "Validation images, their ground truth, and the masks of each run",
            "The masks of each run's best checkpoint, first seed.",
        )
    ]


def _runs_to_show(comparison: Comparison) -> dict[str, RunFolder]:
    """Return label -> run folder of the finished runs, with the first seed that all share."""
    done = [run for run in comparison.runs if run.finished]
    seeds = set.intersection(*(set(run.finished) for run in done)) if done else set()
    return {run.label: run.seeds[min(seeds)].folder for run in done} if seeds else {}


def _shown_images(run: RunFolder) -> list[Path]:
    """Return the folders of the images that a run saved with their ground truth."""
    return [
        folder
        for folder in sorted(run.snapshots.glob("*"))
        if (folder / "image.png").is_file() and (folder / "truth.png").is_file()
    ]


FIGURES = {
    "curves": draw_curves,
    "classes": draw_classes,
    "side_by_side": draw_side_by_side,
    "snapshots": draw_snapshots,
}
