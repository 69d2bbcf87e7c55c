"""Flags of every `dlcv train TASK`. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dlcvcli.config.names import OptimizerName, ScheduleName
from dlcvcli.flags import Flags, flag

DATA, MODEL, OPTIM, RUN, SETTINGS = "Data", "Model", "Optimisation", "Run", "Settings"
SEVERAL = "Several tasks"

PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]


def networks(gives: str) -> Callable[[str], list[str]]:
    """Return the completion of `--model`: the networks that give masks, vectors, ..."""

    def names(incomplete: str) -> list[str]:
        from dlcvcli.models.registry import all_names

        return [name for name in all_names(gives) if name.startswith(incomplete)]

    return names


def _recipes(incomplete: str) -> list[str]:
    from dlcvcli.config.load import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


@dataclass(frozen=True)
class TrainFlags(Flags):
    """Flags that all tasks have; a task adds its own, and replaces those that differ."""

    data: Path | None = flag("Folder of the data set.", panel=DATA, setting="data.path")
    layout: str | None = flag(
        "Layout of the folder, e.g. voc or csv.",
        panel=DATA,
        setting="data.layout",
        default="auto",
    )
    size: str | None = flag(
        "Stretch every image to this size, HxW in pixels, e.g. 256x256.",
        panel=DATA,
        setting="data.size",
        default="the images' own",
    )
    model: str | None = flag(
        "Name of the network; `dlcv models` lists them.", panel=MODEL, setting="model.name"
    )
    weights: str | None = flag(
        "Pre-trained weights of a new network: imagenet, none, or a file.",
        panel=MODEL,
        setting="model.weights",
        default="none",
    )
    init: Path | None = flag(
        "Start a new run from the weights of this run folder or .ckpt.", panel=MODEL
    )
    allow_seen: bool | None = flag(
        "Accept weights (--init, --weights) that were trained on this run's validation images.",
        panel=MODEL,
    )
    batch_size: int | None = flag(
        "Images of a step, over all devices.", panel=OPTIM, setting="train.batch_size"
    )
    lr: float | None = flag(
        "Peak learning rate of the heads, e.g. 1e-3.",
        panel=OPTIM,
        setting="optim.lr",
        default="1e-3",
    )
    backbone_lr_scale: float | None = flag(
        "Learning rate of the backbone / learning rate of the heads, e.g. 0.1.",
        panel=OPTIM,
        setting="optim.backbone_lr_scale",
        default="0.1 with --weights, else 1",
    )
    optimizer: OptimizerName | None = flag(
        "Optimiser that updates the weights.", panel=OPTIM, setting="optim.name", default="adamw"
    )
    schedule: ScheduleName | None = flag(
        "How the learning rate changes with the step.",
        panel=OPTIM,
        setting="schedule.name",
        default="poly",
    )
    out: Path | None = flag("The run folder.", panel=RUN, default="runs/TIME-MODEL")
    resume: Path | None = flag("Continue this run folder exactly where it stopped.", panel=RUN)
    extend: bool | None = flag("With --resume: change the number of epochs or steps.", panel=RUN)
    max_time: str | None = flag(
        "Save and stop after this time, e.g. 90s, 15m, 1h30m.", panel=RUN, setting="train.max_time"
    )
    seed: int | None = flag(
        "Seed of everything random.", panel=RUN, setting="train.seed", default="0"
    )
    precision: PrecisionName | None = flag(
        "Number format of the arithmetic in training.",
        panel=RUN,
        setting="train.precision",
        default="auto",
    )
    deterministic: bool | None = flag(
        "Use algorithms that repeat exactly on a GPU too; slower.",
        panel=RUN,
        setting="train.deterministic",
    )
    devices: int | None = flag(
        "Number of GPUs, or of processes on a CPU, on this machine.",
        panel=RUN,
        setting="train.devices",
        default="1",
    )
    sync_batchnorm: bool | None = flag(
        "Compute BatchNorm statistics over the batches of all GPUs.",
        panel=RUN,
        setting="train.sync_batchnorm",
    )
    recipe: str | None = flag(
        "Start from the settings of this recipe, e.g. camvid.", panel=SETTINGS, complete=_recipes
    )
    config: Path | None = flag("YAML file of settings.", panel=SETTINGS)
    sets: list[str] | None = flag(
        "One setting, e.g. optim.lr=0.01. Repeatable.", "--set", panel=SETTINGS, metavar="KEY=VALUE"
    )
    print_config: bool | None = flag("Print the resolved settings and exit.", panel=SETTINGS)


# Flags of several tasks: a command that has them shows each once.


def min_accuracy_flag() -> Any:
    """Return the flag `--min-accuracy` of `dlcv eval`."""
    return flag(
        "Exit with status 3 where the accuracy is below this, e.g. 0.9.",
        panel=SEVERAL,
        least=0,
        most=1,
        passed_on=False,
    )


def predictions_flag() -> Any:
    """Return the flag `--predictions` of `dlcv eval`."""
    return flag("Write the predicted labels to this CSV file.", panel=SEVERAL)


def confusion_flag() -> Any:
    """Return the flag `--confusion` of `dlcv eval`."""
    return flag(
        "Write the confusion matrix to this .csv, .png or .pdf file.",
        panel=SEVERAL,
        passed_on=False,
    )


def allow_outside_flag() -> Any:
    """Return the flag `--allow-outside`."""
    return flag(
        "Read images outside of the data folder that a CSV or episode file names.", panel=SEVERAL
    )


def predicted_data_flag() -> Any:
    """Return the flag `--data` of `dlcv predict`."""
    return flag(
        "Few-shot models: folder of the images that episode files name. Classifiers: CSV file "
        "with the columns id,filename whose images are predicted, in its order.",
        panel=SEVERAL,
    )
