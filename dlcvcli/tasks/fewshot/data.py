"""The data of a few-shot run: opened, split, decoded and fingerprinted; needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcvcli.config.load import suggest_recipe
from dlcvcli.data.class_splits import AUTO, VINYALS, describe_splits, hold_out, named_splits
from dlcvcli.data.episodes import Shape, require_enough
from dlcvcli.data.few_shot import FewShotSet, duplicate_remarks
from dlcvcli.data.holdout import group_rule, some_names
from dlcvcli.data.image_classes import ImageLayout, Split, find_image_layout
from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.data.seen_images import SeenImages, image_digest
from dlcvcli.data.splits import canonical_split
from dlcvcli.errors import DlcvError, UsageError
from dlcvcli.files import absolute_if_file
from dlcvcli.machine import torchrun_shape
from dlcvcli.models.registry import model_entry, require_size
from dlcvcli.reporter import Progress, Reporter
from dlcvcli.tasks.fewshot.settings import (
    EpisodeSettings,
    FewshotDataSettings,
    TrainFewshotSettings,
)

DEFAULT_EPISODES = 10_000
EPOCH = 100  # steps, as in Snell's code
_VALIDATIONS = 40

_DEFAULT_SIZES = {"omniglot": (28, 28)}
_DEFAULT_SIZE = (84, 84)


@dataclass(frozen=True)
class FewshotData:
    """The splits of a run and what is known of them.

    Attributes:
        train, val: decoded.
        test: read once, and not kept; None where there is none.
        layout: what the folder was recognised as, in one line.
        splits: split -> the names of its classes, for those that the run knows of.
        sha256: split -> fingerprint, of those that are read.
        seen: their images; see `SeenImages`.
        remarks: what is worth saying of it, line by line.
    """

    train: FewShotSet
    val: FewShotSet
    test: FewShotSet | None
    layout: str
    splits: dict[str, tuple[str, ...]]
    sha256: dict[str, str]
    seen: SeenImages
    remarks: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """The folder that all splits were found in."""
        return self.train.root

    def as_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps, as plain types."""
        return {
            "classes": {split: list(names) for split, names in self.splits.items()},
            "sha256": self.sha256,
        }


def training_shape(settings: EpisodeSettings) -> Shape:
    """Return the shape of training episodes."""
    return Shape(settings.n_way, settings.k_shot, settings.n_query)


def evaluation_shape(settings: EpisodeSettings) -> Shape:
    """Return the shape of episodes in validation and test."""
    return Shape(
        settings.test_n_way or settings.n_way,
        settings.test_k_shot or settings.k_shot,
        settings.test_n_query or settings.n_query,
    )


@dataclass(frozen=True)
class OpenedSets:
    """The splits of a run, none of their images read.

    Attributes:
        layout: what the folder was recognised as.
        splits: split -> its classes in this run.
        sets: `train`, `val` and, where there is one, `test`.
    """

    layout: ImageLayout
    splits: dict[str, Split]
    sets: dict[str, FewShotSet]


def open_fewshot_data(settings: TrainFewshotSettings) -> OpenedSets:
    """Find the splits of a run and see that they are large enough, without reading their images.

    Raises:
        DataError: the folder does not hold them, or a split is too small for the episodes.
        UsageError: no folder was named, or rotations of images that are not square.
    """
    data = settings.data
    if not data.path:
        raise UsageError("no data folder was named", "give one with --data DIR")
    layout = find_image_layout(Path(data.path), data.layout, allow_outside=data.allow_outside)
    splits = hold_out(
        layout,
        named_splits(layout, data.splits),
        train=data.train_split,
        val=data.val_split,
        holdout=data.holdout,
        test_holdout=data.test_holdout,
        seed=settings.train.seed,
        rule=group_rule(data.holdout_by, data.holdout_groups),
    )
    size = size_for(data, layout)
    names = {"train": data.train_split, "val": data.val_split, "test": "test"}
    sets = {}
    for part, split in names.items():
        classes = splits.get(canonical_split(split))
        if classes is None:
            continue
        rotated = data.rotations == "all" or (data.rotations == "train" and part == "train")
        sets[part] = FewShotSet(classes, part, layout.root, size, rotations=rotated)
    shapes = {"train": training_shape(settings.episode)}
    for part, one in sets.items():
        shape = shapes.get(part, evaluation_shape(settings.episode))
        require_enough(one.sizes, shape, f"split '{part}' of {layout.root}")
    return OpenedSets(layout, splits, sets)


def check_fewshot_data(
    settings: TrainFewshotSettings, progress: Progress | None = None
) -> FewshotData:
    """Find the splits of a run, read every image that it trains and validates on, and keep them.

    Raises:
        DataError: a file cannot be used, or a split is too small for the episodes.
        UsageError: no folder was named, or rotations of images that are not square.
        DlcvError: too little memory is free.
    """
    opened = open_fewshot_data(settings)
    layout, sets = opened.layout, opened.sets
    # Under torchrun the ranks are there already, and the settings name one.
    left = settings.data.cache // (torchrun_shape() or (settings.train.devices,))[0]
    for part in ("train", "val"):
        sets[part].read(left, progress)
        left -= sets[part].kept * sets[part].image_bytes
    if "test" in sets:
        # Read once now, so that a damaged file is not found at the end of the run; not kept.
        sets["test"].read(0)
    read = [sets["train"], sets["val"]]
    new_splits = opened.splits != layout.splits
    seen = SeenImages(
        frozenset(map(image_digest, sets["train"].digests)),
        tuple(map(image_digest, sets["val"].digests)),
        tuple(map(image_digest, sets["test"].digests)) if "test" in sets else (),
    )
    seen.require_apart(opened.layout.root)
    return FewshotData(
        sets["train"],
        sets["val"],
        sets.get("test"),
        layout.describe(),
        {part: tuple(one.name for one in each.classes) for part, each in sets.items()},
        {part: one.sha256 for part, one in sets.items()},
        seen,
        (
            *suggest_recipe(settings, layout.name),
            *([f"split by class: {describe_splits(opened.splits)}"] if new_splits else []),
            *_held_groups(settings.data, sets["val"]),
            *(one.describe() for one in read),
            *duplicate_remarks(list(sets.values())),
        ),
    )


def _held_groups(settings: FewshotDataSettings, val: FewShotSet) -> list[str]:
    """Return a line on the groups that `data.holdout_by` holds out; none without it."""
    if settings.holdout_by is None:
        return []
    names = sorted({one.group for one in val.classes})
    return [f"hold-out by group: {some_names(names)}"]


def prepare(
    settings: TrainFewshotSettings, reporter: Reporter, *, known: bool
) -> tuple[TrainFewshotSettings, FewshotData]:
    """Check the data of a run and resolve its settings; see `tasks.spec.Prepare`.

    Every rank and every resumed run needs the decoded images, so `known` saves nothing.
    """
    with reporter.counting("reading the images") as progress:
        data = check_fewshot_data(settings, progress)
    return resolve_fewshot(settings, data), data


def size_for(settings: FewshotDataSettings, layout: ImageLayout) -> tuple[int, int]:
    """Return the size that images are stretched to.

    Raises:
        UsageError: it is not square, and rotations are on.
    """
    size = settings.size or _DEFAULT_SIZES.get(layout.name, _DEFAULT_SIZE)
    if settings.rotations != "none" and size[0] != size[1]:
        raise UsageError(
            f"data.rotations needs square images, and the size is {size[0]}x{size[1]}",
            f"choose --size {size[0]}x{size[0]}, or leave the rotations out",
        )
    return size


def resolve_fewshot(settings: TrainFewshotSettings, data: FewshotData) -> TrainFewshotSettings:
    """Replace the defaults that depend on the data or the weights by their values.

    Raises:
        UsageError: images too small for the encoder, or a batch that does not split evenly over the
            ranks.
        DlcvError: the training images are of one colour.
    """
    model, episode = settings.model, settings.episode
    size = data.train.size
    require_size(model_entry(model.name), size)
    settings.require_even_split(settings.train.devices)
    pretrained = model.weights != "none"
    mean, std = (MEAN, STD) if pretrained else data.train.colour()
    if max(std) <= 0.01 and not pretrained:
        raise DlcvError(
            f"the training images in {data.root} are all of one colour", "is it the right folder?"
        )
    shape, train = evaluation_shape(episode), settings.train
    scale = settings.optim.backbone_lr_scale
    if scale is None:
        scale = 0.1 if pretrained else 1.0
    steps = train.steps
    if steps is None:
        steps = DEFAULT_EPISODES if train.epochs is None else train.epochs * EPOCH
    # Often enough to see the curve, and no more than a small fraction of the time.
    every = train.val_every or max(EPOCH, -(-steps // _VALIDATIONS // EPOCH) * EPOCH)
    return settings.model_copy(
        update={
            "data": settings.data.model_copy(
                update={
                    "path": str(Path(settings.data.path).resolve()),
                    "splits": absolute_if_file(settings.data.splits, {AUTO, VINYALS}),
                    "size": size,
                    "mean": settings.data.mean or mean,
                    "std": settings.data.std or std,
                }
            ),
            "episode": episode.model_copy(
                update={
                    "test_n_way": shape.n_way,
                    "test_k_shot": shape.k_shot,
                    "test_n_query": shape.n_query,
                }
            ),
            "model": model.model_copy(
                update={"weights": absolute_if_file(model.weights, {"none", "imagenet"})}
            ),
            "optim": settings.optim.model_copy(update={"backbone_lr_scale": scale}),
            "train": train.model_copy(
                update={
                    "steps": steps if train.epochs is None else None,
                    "val_every": every,
                    "save_every": train.save_every or every,
                }
            ),
        }
    )
