"""`dlcv train fewshot`: train a prototypical network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from dlcvcli.cli.train_flags import (
    DATA,
    MODEL,
    OPTIM,
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
    SyncBatchnorm,
    Weights,
    batch_size,
    models_of,
    optimizer,
    option,
    schedule,
)
from dlcvcli.cli.training import RunOptions, open_run, print_settings, resolve_flags, run_training
from dlcvcli.config.names import DistanceName, OptimizerName, ScheduleName

if TYPE_CHECKING:
    from dlcvcli.config.fewshot import TrainFewshotSettings
    from dlcvcli.training.fewshot_data import FewshotData
    from dlcvcli.training.run import RunRequest

EPISODES = "Episodes"

EPILOG = (
    "dlcv train fewshot --data omniglot --recipe omniglot --out runs/omniglot"
    "\n\ndlcv train fewshot --data mini --n-way 20 --k-shot 1 --test-n-way 5 --distance cosine"
    "\n\ndlcv train fewshot --data mini --distance parametric --init runs/euclidean"
)


def fewshot(
    data: Annotated[
        Path | None, option("--data", panel=DATA, text="Folder of images by class.")
    ] = None,
    layout: Layout = None,
    splits: Annotated[
        str | None,
        option(
            "--splits",
            panel=DATA,
            text="Which class is in which split: vinyals, or a CSV with class,split.",
            default="as the folder says",
        ),
    ] = None,
    size: Annotated[
        str | None,
        option(
            "--size",
            panel=DATA,
            text="Stretch images to HxW.",
            default="Omniglot 28x28, else 84x84",
        ),
    ] = None,
    rotations: Annotated[
        Literal["none", "train", "all"] | None,
        option(
            "--rotations",
            panel=DATA,
            text="Images turned by 90, 180, 270 degrees as classes of their own.",
            default="none",
        ),
    ] = None,
    n_way: Annotated[
        int | None, option("--n-way", panel=EPISODES, text="Classes of an episode.", default="5")
    ] = None,
    k_shot: Annotated[
        int | None, option("--k-shot", panel=EPISODES, text="Examples of each.", default="1")
    ] = None,
    n_query: Annotated[
        int | None, option("--n-query", panel=EPISODES, text="Queries of each.", default="15")
    ] = None,
    test_n_way: Annotated[
        int | None,
        option("--test-n-way", panel=EPISODES, text="In validation, test.", default="--n-way"),
    ] = None,
    test_k_shot: Annotated[
        int | None,
        option("--test-k-shot", panel=EPISODES, text="In validation, test.", default="--k-shot"),
    ] = None,
    test_n_query: Annotated[
        int | None,
        option("--test-n-query", panel=EPISODES, text="In validation, test.", default="--n-query"),
    ] = None,
    episodes: Annotated[
        int | None,
        option(
            "--episodes",
            panel=EPISODES,
            text="Length in steps, an episode each (or --batch-size).",
            default="10000",
        ),
    ] = None,
    model: Annotated[
        str | None,
        option(
            "--model",
            panel=MODEL,
            text="The encoder; see `dlcv models`.",
            default="conv4",
            autocompletion=models_of("vectors"),
        ),
    ] = None,
    distance: Annotated[
        DistanceName | None,
        option("--distance", panel=MODEL, text="From query to prototype.", default="euclidean"),
    ] = None,
    weights: Weights = None,
    init: Init = None,
    allow_seen: AllowSeen = False,
    batch_size: Annotated[
        int | None, batch_size("Episodes of a step, over all ranks.", "1")
    ] = None,
    lr: Lr = None,
    backbone_lr_scale: BackboneScale = None,
    optimizer: Annotated[OptimizerName | None, optimizer("adam")] = None,
    schedule: Annotated[ScheduleName | None, schedule("step: halved every 2000")] = None,
    patience: Annotated[
        int | None,
        option(
            "--patience",
            panel=OPTIM,
            text="End after so many validations without a better one.",
            default="never",
        ),
    ] = None,
    out: Out = None,
    resume: Resume = None,
    extend: Extend = False,
    max_time: MaxTime = None,
    seed: Seed = None,
    precision: Precision = None,
    deterministic: Deterministic = False,
    devices: Devices = None,
    sync_batchnorm: SyncBatchnorm = False,
    recipe: Recipe = None,
    config: Config = None,
    sets: Sets = None,
    print_config: PrintConfig = False,
) -> None:
    """Train a prototypical network on episodes of a folder of images by class."""
    from dlcvcli.config.fewshot import TrainFewshotSettings

    flags = {
        "data.path": None if data is None else str(data),
        "data.layout": layout,
        "data.splits": splits,
        "data.size": size,
        "data.rotations": rotations,
        "episode.n_way": n_way,
        "episode.k_shot": k_shot,
        "episode.n_query": n_query,
        "episode.test_n_way": test_n_way,
        "episode.test_k_shot": test_k_shot,
        "episode.test_n_query": test_n_query,
        "model.name": model,
        "model.weights": weights,
        "distance.name": distance,
        "train.steps": episodes,
        "train.batch_size": batch_size,
        "train.patience": patience,
        "train.max_time": max_time,
        "train.seed": seed,
        "train.precision": precision,
        "train.deterministic": deterministic or None,
        "train.devices": devices,
        "train.sync_batchnorm": sync_batchnorm or None,
        "optim.lr": lr,
        "optim.backbone_lr_scale": backbone_lr_scale,
        "optim.name": optimizer,
        "schedule.name": schedule,
    }
    options = RunOptions(resume, extend, init, out, recipe, config, sets or [], allow_seen)
    settings = resolve_flags(TrainFewshotSettings, "fewshot", options, flags)
    if print_config:
        print_settings(settings)
        return
    run_training(_prepare(settings, options))


def _prepare(settings: TrainFewshotSettings, options: RunOptions) -> RunRequest:
    """Find out what is wrong before torch is imported, which takes seconds."""
    from dlcvcli.training.fewshot_data import resolve_fewshot
    from dlcvcli.training.resume import require_same_settings

    run, init = open_run(options, settings.model.name)
    data = _check_data(settings)
    settings = resolve_fewshot(settings, data)
    if options.resume is not None:
        require_same_settings(run.read_config(), settings, extend=options.extend)

    from dlcvcli.training.run import RunRequest

    resume = options.resume is not None
    return RunRequest(run, settings, data, resume, options.extend, init, options.allow_seen)


def _check_data(settings: TrainFewshotSettings) -> FewshotData:
    from dlcvcli.cli.console import counting
    from dlcvcli.machine import this_rank
    from dlcvcli.training.fewshot_data import check_fewshot_data

    if this_rank():
        return check_fewshot_data(settings)
    with counting("reading the images") as progress:

        def report(split: str, done: int, total: int) -> None:
            progress(done, total)

        return check_fewshot_data(settings, report)
