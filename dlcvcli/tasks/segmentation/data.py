"""The data of a training run: opened, checked and fingerprinted before anything heavy starts.

Needs no torch, so that a wrong path or a bad mask is reported within a second.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dlcvcli.config.load import suggest_recipe
from dlcvcli.config.names import UNWEIGHTED_LOSSES
from dlcvcli.config.schema import DEFAULT_EPOCHS, TrainSettings
from dlcvcli.data.audit import (
    Audit,
    audit,
    describe_shared,
    fingerprints_of,
    remarks,
    require_sound,
    shared_images,
)
from dlcvcli.data.balance import BALANCES
from dlcvcli.data.holdout import group_rule
from dlcvcli.data.layouts import Layout, find_layout
from dlcvcli.data.reading import image_size, read_ahead
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.data.seen_images import SeenImages
from dlcvcli.data.segmentation import SegmentationSet, class_set_for, training_splits
from dlcvcli.errors import ConfigError, DataError, UsageError
from dlcvcli.files import absolute_if_file
from dlcvcli.models.registry import model_entry
from dlcvcli.palette import PRESETS, ClassSet
from dlcvcli.reporter import Progress, Reporter
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.segmentation.card import SegmenterCard
from dlcvcli.tasks.segmentation.settings import DataSettings, LossSettings, TrainSegSettings

LARGEST_DEFAULT_CROP = 512


@dataclass(frozen=True)
class TrainingData:
    """Both splits of a run and what is known of them.

    Attributes:
        train, val: the splits.
        classes: their class set.
        layout: what the folder was recognised as, in one line.
        sha256: split -> fingerprint.
        seen: their images.
        remarks: what the user should know of them, line by line.
        counted: the audit of the training split, where there was one.
        layout_name: name of the layout.
    """

    train: SegmentationSet
    val: SegmentationSet
    classes: ClassSet
    layout: str
    sha256: dict[str, str]
    seen: SeenImages
    remarks: tuple[str, ...] = ()
    counted: Audit | None = None
    layout_name: str = ""

    @property
    def root(self) -> Path:
        """The folder that both splits were found in."""
        return self.train.root

    def as_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, as plain types."""
        return {"classes": self.classes.as_dict(), "sha256": self.sha256}


def open_training_data(
    settings: DataSettings, seed: int
) -> tuple[SegmentationSet, SegmentationSet, Layout, str]:
    """Open the splits that a run trains and validates on, without reading the images.

    Returns:
        Both splits, the layout, and a line on how dlcv itself split the set, where it did.

    Raises:
        DataError: the folder does not hold them.
        UsageError: no folder was named, or the classes are not known.
    """
    if not settings.path:
        raise UsageError("no data folder was named", "give one with --data DIR")
    layout = find_layout(Path(settings.path), settings.layout)
    classes = class_set_for(layout, settings.classes, settings.ignore_index)
    splits = training_splits(
        layout,
        settings.train_split,
        settings.val_split,
        holdout=settings.holdout,
        seed=seed,
        rule=group_rule(settings.holdout_by, settings.holdout_groups),
    )

    def split(pairs: Any, name: str) -> SegmentationSet:
        return SegmentationSet(pairs, classes, name, layout.root, settings.size, settings.binarise)

    return split(splits.train, "train"), split(splits.val, "val"), layout, splits.remark


def check_training_data(
    settings: DataSettings, seed: int, progress: Progress | None = None, *, known: bool = False
) -> TrainingData:
    """Open both splits, read every file once, and fingerprint them.

    With `settings.audit` off, and for data `known` from the run that is resumed, the files' bytes
    are fingerprinted without decoding them.

    Raises:
        DataError: a file cannot be used, there is nothing to train on, or both splits hold the
            same images.
        UsageError: see `open_training_data`.
    """
    train, val, layout, remark = open_training_data(settings, seed)
    sha256, images = {}, {}
    lines: list[str] = [remark] if remark else []
    counted = None
    for part in (train, val):
        if settings.audit and not known:
            checked = audit(part, progress)
            require_sound(checked, part)
            sha256[part.split], images[part.split] = checked.sha256, checked.image_digests
            lines += remarks(checked, part)
            counted = checked if part is train else counted
        else:
            sha256[part.split], images[part.split] = fingerprints_of(part)
    shared = shared_images(images["train"], images["val"])
    if shared:
        lines.append(describe_shared(shared, len(val), "val", "train"))
    seen = SeenImages(frozenset(images["train"].values()), tuple(images["val"].values()))
    if not known:
        seen.require_apart(train.root)
    return TrainingData(
        train,
        val,
        train.classes,
        layout.describe(),
        sha256,
        seen,
        tuple(lines),
        counted,
        layout.name,
    )


def resolve_settings(
    settings: TrainSegSettings, train: SegmentationSet, counted: Audit | None = None
) -> TrainSegSettings:
    """Replace the defaults that depend on the data or the weights by their values.

    The training crop becomes the smaller of the smallest image and 512 in each direction; the
    backbone's learning rate 0.1 of the heads' with pre-trained weights, else the same; validation
    once an epoch, and a checkpoint with it; class weights numbers; paths absolute, so that
    `--resume` finds them from anywhere.

    Args:
        settings: as the user gave them.
        train: the training split.
        counted: its audit; None to audit it where class weights need that.

    Raises:
        UsageError: the batch is too small for the model or too large for the data, or does not
            split evenly over ranks and accumulation parts; class weights are not one for each
            class, or the loss has none.
    """
    entry = model_entry(settings.model.name)
    data, optim, train_part = settings.data, settings.optim, settings.train
    settings.require_even_split(train_part.devices)
    smallest = settings.images_at_a_time(train_part.devices)
    plan = BatchPlan(len(train), train_part.batch_size, train_part.seed)
    crop = data.crop or _default_crop(train)
    scale = optim.backbone_lr_scale
    if scale is None:
        scale = 1.0 if settings.model.weights == "none" else 0.1
    if smallest < entry.min_train_batch:
        raise UsageError(
            f"{settings.model.name} needs at least {entry.min_train_batch} images at a time per "
            f"rank, and gets {smallest}: its pooling branch normalises over 1x1 maps",
            f"choose --batch-size {entry.min_train_batch * train_part.devices * optim.accumulate} "
            "or more",
        )
    return settings.model_copy(
        update={
            "data": data.model_copy(
                update={
                    "crop": crop,
                    "path": str(Path(data.path).resolve()),
                    "classes": absolute_if_file(data.classes, {"auto", *PRESETS}),
                }
            ),
            "model": settings.model.model_copy(
                update={"weights": absolute_if_file(settings.model.weights, {"none", "imagenet"})}
            ),
            "train": _with_lengths(train_part, plan.steps_per_epoch),
            "loss": _weighted(settings.loss, train, counted),
            "optim": optim.model_copy(update={"backbone_lr_scale": scale}),
            "snapshot": settings.snapshot.model_copy(
                update={
                    "images": tuple(absolute_if_file(name) for name in settings.snapshot.images)
                }
            ),
        }
    )


def prepare(
    settings: TrainSegSettings, reporter: Reporter, *, known: bool
) -> tuple[TrainSegSettings, TrainingData]:
    """Check the data of a run and resolve its settings; see `tasks.spec.Prepare`."""
    with reporter.counting("checking the data") as progress:
        data = check_training_data(settings.data, settings.train.seed, progress, known=known)
    if not known:
        hints = suggest_recipe(settings, data.layout_name)
        data = replace(data, remarks=(*hints, *data.remarks))
    return resolve_settings(settings, data.train, data.counted), data


def _weighted(
    settings: LossSettings, train: SegmentationSet, counted: Audit | None
) -> LossSettings:
    """Turn a rule for class weights into numbers."""
    weights = settings.class_weights
    if weights == "none":
        return settings
    if settings.name in UNWEIGHTED_LOSSES:
        raise UsageError(
            f"loss.class_weights: the loss {settings.name} weights no classes",
            "leave them out, or choose another --loss",
        )
    if isinstance(weights, str):
        weights = BALANCES[weights](counted or audit(train))
    if len(weights) != len(train.classes):
        raise UsageError(
            f"loss.class_weights has {len(weights)} numbers, and '{train.classes.name}' has "
            f"{len(train.classes)} classes",
            f"give one for each, in this order: {', '.join(train.classes.names)}",
        )
    return settings.model_copy(update={"class_weights": weights})


def _with_lengths(settings: TrainSettings, steps_per_epoch: int) -> TrainSettings:
    """Return settings with the length of the run, and how often it validates and saves."""
    val_every = settings.val_every or steps_per_epoch
    no_length = settings.epochs is None and settings.steps is None
    return settings.model_copy(
        update={
            "epochs": DEFAULT_EPOCHS if no_length else settings.epochs,
            "val_every": val_every,
            "save_every": settings.save_every or val_every,
        }
    )


def _default_crop(data: SegmentationSet) -> tuple[int, int]:
    if data.size is not None:
        heights, widths = [data.size[0]], [data.size[1]]
    else:
        sizes = list(
            read_ahead(image_size, (pair.image for pair in data.pairs), threads=4, ahead=64)
        )
        if not sizes:
            raise DataError(f"split '{data.split}' of {data.root} holds no images")
        heights, widths = [size[0] for size in sizes], [size[1] for size in sizes]
    return min(*heights, LARGEST_DEFAULT_CROP), min(*widths, LARGEST_DEFAULT_CROP)


def read_classes(run: RunFolder) -> ClassSet:
    """Return the classes that a run was trained on.

    Raises:
        DataError: the run is of another task, or environment.json does not hold them.
    """
    task = run.read_config().get("task") if run.config.is_file() else SegmenterCard.TASK
    if task != SegmenterCard.TASK:
        raise DataError(f"{run.path} is a run of task {task}; it has no masks")
    try:
        text = run.environment.read_text(encoding="utf-8")
        return ClassSet.from_dict(json.loads(text)["data"]["classes"])
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise DataError(
            f"{run.environment} does not name the classes of the run",
            "it is the first file that a run writes; was the folder copied completely?",
        ) from error
