"""The data of a classification run: opened, split, checked and fingerprinted; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from dlcvcli.config.load import suggest_recipe
from dlcvcli.config.schema import DEFAULT_EPOCHS
from dlcvcli.data.holdout import (
    group_rule,
    groups_of,
    hold_out_by_class,
    hold_out_groups,
    keep_fraction,
)
from dlcvcli.data.image_classes import find_image_layout, image_split
from dlcvcli.data.labelled_images import (
    LabelledImages,
    check_labelled,
    class_names,
    image_sizes,
    split_images,
)
from dlcvcli.data.labelled_split import pooled
from dlcvcli.data.sampler import BatchPlan
from dlcvcli.data.seen_images import SeenImages
from dlcvcli.data.splits import ALL, require_two_splits
from dlcvcli.errors import DataError, UsageError
from dlcvcli.files import absolute_if_file
from dlcvcli.models.registry import model_entry, require_size
from dlcvcli.reporter import Reporter
from dlcvcli.tasks.classification.settings import TrainClsSettings
from dlcvcli.tasks.classification.transfer import resolve_transfer

# The size that torchvision's classifiers were trained at; no larger one is chosen by itself.
LARGEST_DEFAULT_SIDE = 224


@dataclass(frozen=True)
class ClassificationData:
    """Both splits of a run and what is known of them.

    Attributes:
        train, val: the splits.
        layout: what the folder was recognised as, in one line.
        sha256: split -> fingerprint, once the files were read.
        seen: their images, once the files were read.
        remarks: what is worth saying of them, line by line.
        layout_name: name of the layout.
    """

    train: LabelledImages
    val: LabelledImages
    layout: str
    sha256: dict[str, str]
    seen: SeenImages
    remarks: tuple[str, ...] = ()
    layout_name: str = ""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the logits."""
        return self.train.classes

    @property
    def root(self) -> Path:
        """The folder that both splits were found in."""
        return self.train.root

    def as_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, as plain types."""
        images = {"train": len(self.train), "val": len(self.val)}
        return {"classes": list(self.classes), "images": images, "sha256": self.sha256}


@dataclass(frozen=True)
class OpenedData:
    """Both splits, none of their images read.

    Attributes:
        train, val: the splits, at the size of the settings.
        layout: what the folder was recognised as, in one line.
        layout_name: name of the layout.
        remarks: how dlcv itself split the set, line by line.
    """

    train: LabelledImages
    val: LabelledImages
    layout: str
    layout_name: str
    remarks: tuple[str, ...]


def open_data(settings: TrainClsSettings) -> OpenedData:
    """Find the splits of a run, without reading their images.

    Raises:
        DataError: the folder does not hold them, or they have no two classes to tell apart.
        UsageError: no folder was named, or a hold-out that does not fit.
    """
    data, seed = settings.data, settings.train.seed
    if not data.path:
        raise UsageError("no data folder was named", "give one with --data DIR")
    layout = find_image_layout(Path(data.path), data.layout, allow_outside=data.allow_outside)
    root, remarks = layout.root, []
    rule = group_rule(data.holdout_by, data.holdout_groups)
    unsplit = set(layout.splits) == {ALL}
    if rule is not None or unsplit:
        classes = pooled(layout)
        names = class_names(replace(layout, splits={ALL: classes}))
        everything = split_images(classes, names, ALL, root, data.size)
        _require_classes(everything, root)
        if rule is None:
            held = np.zeros(len(everything), bool)
            held[hold_out_by_class(everything.labels, data.holdout, seed)] = True
            remarks.append(
                f"split by class: {int(held.sum())} of {len(held)} images are held out for "
                "validation"
            )
        else:
            outside = data.allow_outside
            groups = groups_of(everything.files, rule.by, root, allow_outside=outside)
            chosen = hold_out_groups(groups, rule, fraction=data.holdout, seed=seed)
            held = chosen.held
            remarks.append(chosen.describe())
        train = replace(everything.part(np.flatnonzero(~held)), split="train")
        val = replace(everything.part(np.flatnonzero(held)), split="val")
    else:
        require_two_splits(data.train_split, data.val_split, layout.splits)
        classes = image_split(layout, data.train_split)
        names = class_names(replace(layout, splits={"train": classes}))
        train = split_images(classes, names, "train", root, data.size)
        _require_classes(train, root)
        val = split_images(image_split(layout, data.val_split), names, "val", root, data.size)
    if data.label_fraction < 1:
        kept = keep_fraction(train.labels, data.label_fraction, seed)
        remarks.append(
            f"label fraction {data.label_fraction:g}: {len(kept)} of {len(train)} training images"
        )
        train = train.part(kept)
    return OpenedData(train, val, layout.describe(), layout.name, tuple(remarks))


def _require_classes(data: LabelledImages, root: Path) -> None:
    if len(data.classes) < 2:
        raise DataError(
            f"{root} has one class only, '{data.classes[0]}': there is nothing to tell apart",
            "add images of other classes in folders of their own, or give the folder above",
        )


def check_data(
    settings: TrainClsSettings, reporter: Reporter, *, known: bool = False
) -> ClassificationData:
    """Open both splits, read every file once, and fingerprint them.

    Args:
        settings: of the run.
        reporter: receives progress.
        known: the files were checked before; they are fingerprinted without decoding them.

    Raises:
        DataError: see `open_data`; or a file cannot be read, or both splits hold the same images.
        UsageError: see `open_data`.
    """
    opened = open_data(settings)
    sha256, digests = {}, {}
    with reporter.counting("checking the images") as progress:
        for part in (opened.train, opened.val):
            checked = check_labelled(part, progress, decode=not known)
            sha256[part.split], digests[part.split] = checked
    seen = SeenImages(frozenset(digests[opened.train.split]), digests[opened.val.split])
    if not known:
        seen.require_apart(opened.train.root)
    return ClassificationData(
        opened.train,
        opened.val,
        opened.layout,
        sha256,
        seen,
        (*opened.remarks, *_remarks(opened)),
        opened.layout_name,
    )


def _remarks(opened: OpenedData) -> list[str]:
    """Return what is worth saying of the balance of the classes."""
    train, val = opened.train, opened.val
    counts = np.bincount(train.labels, minlength=len(train.classes))
    largest, least = int(counts.max()), int(counts.min())
    of_val = np.bincount(val.labels, minlength=len(val.classes))
    # Who always names the class that is most frequent in training is right this often.
    baseline = of_val[int(counts.argmax())] / max(1, len(val))
    lines = [
        f"{len(train)} training and {len(val)} validation images of {len(train.classes)} classes; "
        f"always naming the most frequent one scores {baseline:.3f}"
    ]
    if largest >= 5 * max(1, least):
        names = train.classes[int(counts.argmax())], train.classes[int(counts.argmin())]
        lines.append(
            f"unbalanced: {largest} images of {names[0]}, {least} of {names[1]} "
            "(--set loss.class_weights=balanced weights them)"
        )
    absent = [n for n, count in zip(val.classes, of_val.tolist(), strict=True) if not count]
    if absent:
        lines.append(
            f"{len(absent)} of {len(val.classes)} classes have no validation image, "
            f"e.g. {absent[0]}"
        )
    return lines


def prepare(
    settings: TrainClsSettings, reporter: Reporter, *, known: bool
) -> tuple[TrainClsSettings, ClassificationData]:
    """Check the data of a run and resolve its settings; see `tasks.spec.Prepare`."""
    # What is wrong with a backbone is known before all images are read.
    settings = resolve_transfer(settings)
    data = check_data(settings, reporter, known=known)
    if not known:
        hints = suggest_recipe(settings, data.layout_name)
        data = replace(data, remarks=(*hints, *data.remarks))
    resolved = resolve_settings(settings, data)
    size = resolved.data.size
    # Decoded validation images are kept, too: each epoch needs them again.
    memory = resolved.data.cache // 4
    return resolved, replace(
        data,
        train=replace(data.train, size=size),
        val=replace(data.val, size=size, memory=memory),
    )


def resolve_settings(settings: TrainClsSettings, data: ClassificationData) -> TrainClsSettings:
    """Replace the defaults that depend on the data or the weights by their values.

    Args:
        settings: after `resolve_transfer`.
        data: both splits.

    Raises:
        UsageError: images too small for the network, a batch that is too large for the data or does
            not split evenly, or class weights that are not one for each class.
    """
    optim, train = settings.optim, settings.train
    entry = model_entry(settings.model.name, settings.model.options)
    size = settings.data.size or entry.only_size or default_size(data)
    require_size(entry, size)
    settings.require_even_split(train.devices)
    plan = BatchPlan(len(data.train), train.batch_size, train.seed)
    scale = optim.backbone_lr_scale
    if scale is None:
        scale = 1.0 if settings.model.weights == "none" else 0.1
    val_every = train.val_every or plan.steps_per_epoch
    no_length = train.epochs is None and train.steps is None
    return settings.model_copy(
        update={
            "data": settings.data.model_copy(
                update={"path": str(Path(settings.data.path).resolve()), "size": size}
            ),
            "model": settings.model.model_copy(
                update={"weights": absolute_if_file(settings.model.weights, {"none", "imagenet"})}
            ),
            "loss": settings.loss.model_copy(update={"class_weights": _weights(settings, data)}),
            "optim": optim.model_copy(update={"backbone_lr_scale": scale}),
            "train": train.model_copy(
                update={
                    "epochs": DEFAULT_EPOCHS if no_length else train.epochs,
                    "val_every": val_every,
                    "save_every": train.save_every or val_every,
                }
            ),
        }
    )


def default_size(data: ClassificationData) -> tuple[int, int]:
    """Return the images' own size where all are alike, else a square of their median side.

    The square is a multiple of 32, and at most `LARGEST_DEFAULT_SIDE`.
    """
    sizes = image_sizes(data.train)
    if len(set(sizes)) == 1 and max(sizes[0]) <= LARGEST_DEFAULT_SIDE:
        return sizes[0]
    side = median(max(size) for size in sizes)
    square = min(LARGEST_DEFAULT_SIDE, max(32, round(side / 32) * 32))
    return square, square


def _weights(settings: TrainClsSettings, data: ClassificationData) -> tuple[float, ...] | str:
    """Return the class weights as numbers, with a mean of 1 over the training images."""
    weights, classes = settings.loss.class_weights, data.classes
    if weights == "balanced":
        counts = np.bincount(data.train.labels, minlength=len(classes))
        balanced = len(data.train) / (len(classes) * np.maximum(counts, 1))
        return tuple(balanced.round(6).tolist())
    if not isinstance(weights, str) and len(weights) != len(classes):
        raise UsageError(
            f"loss.class_weights has {len(weights)} numbers, and there are {len(classes)} classes",
            f"give one for each, in this order: {', '.join(classes)}",
        )
    return weights
