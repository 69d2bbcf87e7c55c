"""Flags that every kind of training has, each said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

DATA, MODEL, OPTIM, RUN, SETTINGS = "Data", "Model", "Optimisation", "Run", "Settings"


def option(*names: str, panel: str, text: str, default: str = "", **more: Any) -> Any:
    """Describe a flag whose default, if any, comes from the settings and is only named here."""
    return typer.Option(
        *names, help=text, rich_help_panel=panel, show_default=default or False, **more
    )


def _recipe_names(incomplete: str) -> list[str]:
    from dlcvcli.config.load import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


Size = Annotated[
    str | None, option("--size", panel=DATA, text="Stretch images to HxW.", default="their own")
]
Layout = Annotated[
    str | None, option("--layout", panel=DATA, text="How the folder is laid out.", default="auto")
]
Weights = Annotated[
    str | None,
    option("--weights", panel=MODEL, text="imagenet, none or a file.", default="none"),
]
Init = Annotated[
    Path | None,
    option("--init", panel=MODEL, text="Begin a new run with the weights of a .ckpt or run."),
]
AllowSeen = Annotated[
    bool,
    option(
        "--allow-seen",
        panel=MODEL,
        text="Accept weights (--init, --weights) that were trained on validation images.",
    ),
]
Lr = Annotated[float | None, option("--lr", panel=OPTIM, text="Peak rate.", default="1e-3")]
BackboneScale = Annotated[
    float | None,
    option(
        "--backbone-lr-scale",
        panel=OPTIM,
        text="Backbone's rate / heads'.",
        default="0.1 with weights, else 1",
    ),
]
Out = Annotated[
    Path | None, option("--out", panel=RUN, text="The run folder.", default="runs/TIME-MODEL")
]
Resume = Annotated[Path | None, option("--resume", panel=RUN, text="Go on with a run, exactly.")]
Extend = Annotated[bool, option("--extend", panel=RUN, text="With --resume: change its length.")]
MaxTime = Annotated[
    str | None,
    option("--max-time", panel=RUN, text="Stop in good order after 90s, 15m, 1h30m."),
]
Seed = Annotated[int | None, option("--seed", panel=RUN, text="Of everything random.", default="0")]
Precision = Annotated[
    Literal["auto", "fp32", "bf16", "fp16"] | None,
    option("--precision", panel=RUN, text="Of the arithmetic.", default="auto"),
]
Deterministic = Annotated[
    bool,
    option("--deterministic", panel=RUN, text="Repeatable algorithms on a GPU too; slower."),
]
Devices = Annotated[
    int | None, option("--devices", panel=RUN, text="Ranks on this machine.", default="1")
]
SyncBatchnorm = Annotated[
    bool,
    option(
        "--sync-batchnorm",
        panel=RUN,
        text="Compute BatchNorm over the batches of all ranks together; needs GPUs.",
    ),
]
Recipe = Annotated[
    str | None,
    option("--recipe", panel=SETTINGS, text="Shipped settings.", autocompletion=_recipe_names),
]
Config = Annotated[Path | None, option("--config", panel=SETTINGS, text="YAML file of settings.")]
Sets = Annotated[
    list[str] | None,
    option("--set", panel=SETTINGS, text="One setting, a.b=value. Repeatable."),
]
PrintConfig = Annotated[
    bool, option("--print-config", panel=SETTINGS, text="Print the settings and exit.")
]


def optimizer(default: str) -> Any:
    """Describe `--optimizer`; its default is the task's."""
    return option("--optimizer", panel=OPTIM, text="What steps.", default=default)


def schedule(default: str) -> Any:
    """Describe `--schedule`; its default is the task's."""
    return option("--schedule", panel=OPTIM, text="How the rate falls.", default=default)


def batch_size(text: str, default: str) -> Any:
    """Describe `--batch-size`; what it counts is the task's."""
    return option("--batch-size", panel=OPTIM, text=text, default=default)


def models_of(gives: str) -> Any:
    """Return the completion of `--model` for the networks that give `gives`."""

    def names(incomplete: str) -> list[str]:
        from dlcvcli.models.registry import model_names

        return [name for name in model_names(gives) if name.startswith(incomplete)]

    return names
