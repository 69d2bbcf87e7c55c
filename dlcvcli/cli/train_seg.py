"""`dlcv train seg`: train a segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from dlcvcli.cli.train_flags import (
    DATA,
    MODEL,
    OPTIM,
    RUN,
    AllowSeen,
    BackboneScale,
    Config,
    Deterministic,
    Devices,
    Extend,
    Init,
    Layout,
    Lr,
    MaxTime,
    Out,
    Precision,
    PrintConfig,
    Recipe,
    Resume,
    Seed,
    Sets,
    Size,
    SyncBatchnorm,
    Weights,
    batch_size,
    models_of,
    optimizer,
    option,
    schedule,
)
from dlcvcli.cli.training import RunOptions, open_run, print_settings, resolve_flags, run_training
from dlcvcli.config.names import LossName, OptimizerName, ScheduleName

if TYPE_CHECKING:
    from dlcvcli.config.schema import TrainSegSettings
    from dlcvcli.training.data import TrainingData
    from dlcvcli.training.run import RunRequest

EPILOG = (
    "dlcv train seg --data my-set --model deeplabv3plus_mobilenet_v2 --epochs 30 --out runs/first"
    "\n\ndlcv train seg --resume runs/first"
    "\n\ndlcv train seg --data my-set --recipe camvid --set optim.lr=5e-4 --print-config"
)


def seg(
    data: Annotated[
        Path | None, option("--data", panel=DATA, text="Folder of images and masks.")
    ] = None,
    classes: Annotated[
        str | None,
        option(
            "--classes", panel=DATA, text="Class preset or YAML file.", default="as the layout says"
        ),
    ] = None,
    layout: Layout = None,
    size: Size = None,
    crop: Annotated[
        str | None,
        option("--crop", panel=DATA, text="Training crop HxW.", default="smaller of image and 512"),
    ] = None,
    model: Annotated[
        str | None,
        option(
            "--model",
            panel=MODEL,
            text="See `dlcv models`.",
            default="deeplabv3plus_resnet50",
            autocompletion=models_of("masks"),
        ),
    ] = None,
    weights: Weights = None,
    init: Init = None,
    allow_seen: AllowSeen = False,
    epochs: Annotated[
        int | None, option("--epochs", panel=OPTIM, text="Length.", default="50")
    ] = None,
    steps: Annotated[
        int | None, option("--steps", panel=OPTIM, text="Length, instead of epochs.")
    ] = None,
    batch_size: Annotated[int | None, batch_size("Over all devices.", "8")] = None,
    lr: Lr = None,
    backbone_lr_scale: BackboneScale = None,
    optimizer: Annotated[OptimizerName | None, optimizer("adamw")] = None,
    schedule: Annotated[ScheduleName | None, schedule("poly")] = None,
    loss: Annotated[
        LossName | None,
        option("--loss", panel=OPTIM, text="What is minimised.", default="cross_entropy"),
    ] = None,
    out: Out = None,
    resume: Resume = None,
    extend: Extend = False,
    max_time: MaxTime = None,
    snapshot: Annotated[
        list[str] | None,
        option(
            "--snapshot",
            panel=RUN,
            text="Keep masks of this image, early, middle and final; a file, or a name in the "
            "validation split. Repeatable.",
        ),
    ] = None,
    seed: Seed = None,
    precision: Precision = None,
    deterministic: Deterministic = False,
    devices: Devices = None,
    sync_batchnorm: SyncBatchnorm = False,
    workers: Annotated[
        int | None,
        option("--workers", panel=RUN, text="Loader processes.", default="by the cores"),
    ] = None,
    recipe: Recipe = None,
    config: Config = None,
    sets: Sets = None,
    print_config: PrintConfig = False,
) -> None:
    """Train a segmenter on a folder of images and masks."""
    from dlcvcli.config.schema import TrainSegSettings

    flags = {
        "data.path": None if data is None else str(data),
        "data.classes": classes,
        "data.layout": layout,
        "data.size": size,
        "data.crop": crop,
        "model.name": model,
        "model.weights": weights,
        "train.epochs": epochs,
        "train.steps": steps,
        "train.batch_size": batch_size,
        "train.max_time": max_time,
        "train.seed": seed,
        "train.precision": precision,
        "train.deterministic": deterministic or None,
        "train.devices": devices,
        "train.sync_batchnorm": sync_batchnorm or None,
        "train.workers": workers,
        "optim.lr": lr,
        "optim.backbone_lr_scale": backbone_lr_scale,
        "optim.name": optimizer,
        "schedule.name": schedule,
        "loss.name": loss,
        "snapshot.images": snapshot or None,
    }
    options = RunOptions(resume, extend, init, out, recipe, config, sets or [], allow_seen)
    settings = resolve_flags(TrainSegSettings, "seg", options, flags)
    if print_config:
        print_settings(settings)
        return
    run_training(_prepare(settings, options))


def _prepare(settings: TrainSegSettings, options: RunOptions) -> RunRequest:
    """Find out what is wrong before torch is imported, which takes seconds."""
    from dlcvcli.training.data import resolve_settings
    from dlcvcli.training.resume import require_same_settings

    run, init = open_run(options, settings.model.name)
    data = _check_data(settings, known=options.resume is not None)
    settings = resolve_settings(settings, data.train, data.counted)
    if options.resume is not None:
        require_same_settings(run.read_config(), settings, extend=options.extend)

    from dlcvcli.training.run import RunRequest

    resume = options.resume is not None
    return RunRequest(run, settings, data, resume, options.extend, init, options.allow_seen)


def _check_data(settings: TrainSegSettings, *, known: bool) -> TrainingData:
    from dlcvcli.cli.console import counting
    from dlcvcli.machine import this_rank
    from dlcvcli.training.data import check_training_data

    if this_rank():
        # Rank 0 has read them all and speaks of them.
        return check_training_data(settings.data, settings.train.seed, known=True)
    with counting("checking the data") as progress:

        def report(split: str, done: int, total: int) -> None:
            progress(done, total)

        return check_training_data(settings.data, settings.train.seed, report, known=known)
