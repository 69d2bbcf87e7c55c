"""The figures of a study, drawn from what its folder holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlcvcli.data.masks import read_mask
from dlcvcli.data.reading import read_rgb
from dlcvcli.figures.accuracy_points import Point, accuracy_points
from dlcvcli.figures.class_bars import class_bars
from dlcvcli.figures.masks import Row, side_by_side, snapshot_grid
from dlcvcli.figures.study_curves import study_curves
from dlcvcli.figures.style import save
from dlcvcli.palette import ClassSet, Mask
from dlcvcli.runs import RunFolder, find_model
from dlcvcli.runtime.clock import StageClock
from dlcvcli.studies.outcome import RunOutcome, StudyOutcome
from dlcvcli.tasks.segmentation.examples import sized_for
from dlcvcli.tasks.segmentation.load import load_predictor


@dataclass(frozen=True)
class StudyPictures:
    """The figures that could be drawn; None or absent where nothing was there to draw.

    Attributes:
        curves: of all runs on one plot.
        classes: IoU of every class.
        side_by_side: image, truth and the masks of every finished run.
        snapshots: label of a run -> its masks during training.
        points: the accuracies with their intervals.
    """

    curves: Path | None
    classes: Path | None
    side_by_side: Path | None
    snapshots: dict[str, Path]
    points: Path | None = None


def draw_study(outcome: StudyOutcome) -> StudyPictures:
    """Draw what the study's definition asks for and its runs have; old figures are replaced."""
    folder, wishes = outcome.folder.figures, outcome.record.definition.figures
    for old in folder.glob("*.png"):
        old.unlink()
    wanted = {name for name in outcome.kind.figures if getattr(wishes, name)}
    snapshots = {}
    for run in outcome.runs if "snapshots" in wanted else ():
        grid = _snapshots(outcome, run, folder / f"snapshots-{run.run.name}.png")
        if grid is not None:
            snapshots[run.run.label] = grid
    return StudyPictures(
        _curves(outcome, folder / "curves.png") if "curves" in wanted else None,
        _classes(outcome, folder / "classes.png") if "classes" in wanted else None,
        _side_by_side(outcome, folder / "side-by-side.png") if "side_by_side" in wanted else None,
        snapshots,
        _points(outcome, folder / "accuracy.png") if "points" in wanted else None,
    )


def _curves(outcome: StudyOutcome, path: Path) -> Path | None:
    begun = {
        run.run.label: _folders_to_draw(run)
        for run in outcome.runs
        if any(one.step for one in run.seeds)
    }
    if not begun:
        return None
    save(study_curves(begun, outcome.kind.main), path)
    return path


def _folders_to_draw(run: RunOutcome) -> list[RunFolder]:
    """Return the finished seeds; where there is none, those that were begun."""
    done = [one.folder for one in run.seeds if one.state == "finished"]
    return done or [one.folder for one in run.seeds if one.step]


def _classes(outcome: StudyOutcome, path: Path) -> Path | None:
    if not outcome.classes:
        return None
    scores = {
        run.run.label: {
            name: (run.iou_of(name).mean, run.iou_of(name).sd) for name in outcome.classes
        }
        for run in outcome.runs
        if run.finished
    }
    save(class_bars(outcome.classes, scores), path)
    return path


def _points(outcome: StudyOutcome, path: Path) -> Path | None:
    main = outcome.kind.main
    found: dict[str, list[Point]] = {
        run.run.label: [
            (results["metrics"][main], results["metrics"]["ci95"])
            for results in run.finished.values()
        ]
        for run in outcome.runs
        if run.finished
    }
    if not found:
        return None
    reported: dict[str, Point] = {
        run.run.label: (run.run.reported.accuracy, run.run.reported.ci95)
        for run in outcome.runs
        if run.finished and run.run.reported.accuracy is not None
    }
    save(accuracy_points(found, reported), path)
    return path


def _snapshots(outcome: StudyOutcome, run: RunOutcome, path: Path) -> Path | None:
    """Draw the masks of the run's first seed that kept any."""
    classes = ClassSet.from_dict(outcome.record.classes)
    for one in run.seeds:
        if any(one.folder.snapshots.glob("*/step-*.png")):
            save(snapshot_grid(one.folder, classes, one.folder.steps_per_epoch()), path)
            return path
    return None


def _side_by_side(outcome: StudyOutcome, path: Path) -> Path | None:
    """Draw image | truth | the best weights of every run, of the first seed that all share."""
    classes = ClassSet.from_dict(outcome.record.classes)
    done = [run for run in outcome.runs if run.finished]
    seeds = set.intersection(*(set(run.finished) for run in done)) if done else set()
    if not seeds:
        return None
    shown = {run.run.label: run.seeds[min(seeds)].folder for run in done}
    first = next(iter(shown.values()))
    subjects = [
        place
        for place in sorted(first.snapshots.glob("*"))
        if (place / "image.png").is_file() and (place / "truth.png").is_file()
    ]
    if not subjects or not all(run.best.is_file() or run.last.is_file() for run in shown.values()):
        return None
    images = [read_rgb(place / "image.png") for place in subjects]
    truths = [read_mask(place / "truth.png", classes) for place in subjects]
    masks: list[dict[str, Mask]] = [{} for _ in subjects]
    for label, run in shown.items():
        # One network at a time: those of a study need not fit into memory together.
        predictor = load_predictor(find_model(run.path))
        for image, found in zip(images, masks, strict=True):
            size = image.shape[0], image.shape[1]
            found[label] = predictor(sized_for(predictor, image)[None], size, StageClock())[0]
    rows = [
        Row(place.name, image, truth, found)
        for place, image, truth, found in zip(subjects, images, truths, masks, strict=True)
    ]
    save(side_by_side(rows, classes, outlined=True), path)
    return path
