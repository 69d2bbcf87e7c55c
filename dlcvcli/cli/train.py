"""`dlcv train`: train a model."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dlcvcli.config.names import LossName, OptimizerName, ScheduleName
from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from dlcvcli.config.schema import TrainSegSettings
    from dlcvcli.errors import RankLost
    from dlcvcli.training.data import TrainingData
    from dlcvcli.training.run import RunRequest

app = typer.Typer(help="Train a model.", no_args_is_help=True)

DATA, MODEL, OPTIM, RUN, SETTINGS = "Data", "Model", "Optimisation", "Run", "Settings"

EPILOG = (
    "dlcv train seg --data my-set --model deeplabv3plus_mobilenet_v2 --epochs 30 --out runs/first"
    "\n\ndlcv train seg --resume runs/first"
    "\n\ndlcv train seg --data my-set --recipe camvid --set optim.lr=5e-4 --print-config"
)


def _option(*names: str, panel: str, text: str, default: str = "", **more: Any) -> Any:
    """Describe a flag whose default, if any, comes from the settings and is only named here."""
    return typer.Option(
        *names, help=text, rich_help_panel=panel, show_default=default or False, **more
    )


def _model_names(incomplete: str) -> list[str]:
    from dlcvcli.models.registry import model_names

    return [name for name in model_names("seg") if name.startswith(incomplete)]


def _recipe_names(incomplete: str) -> list[str]:
    from dlcvcli.config.load import recipe_names

    return [name for name in recipe_names() if name.startswith(incomplete)]


@app.callback()
def _group() -> None:
    """Train a model."""


@app.command("seg", epilog=EPILOG)
def seg(
    data: Annotated[
        Path | None, _option("--data", panel=DATA, text="Folder of images and masks.")
    ] = None,
    classes: Annotated[
        str | None,
        _option(
            "--classes", panel=DATA, text="Class preset or YAML file.", default="as the layout says"
        ),
    ] = None,
    layout: Annotated[
        str | None,
        _option("--layout", panel=DATA, text="How the folder is laid out.", default="auto"),
    ] = None,
    size: Annotated[
        str | None,
        _option("--size", panel=DATA, text="Stretch images to HxW.", default="their own"),
    ] = None,
    crop: Annotated[
        str | None,
        _option(
            "--crop", panel=DATA, text="Training crop HxW.", default="smaller of image and 512"
        ),
    ] = None,
    model: Annotated[
        str | None,
        _option(
            "--model",
            panel=MODEL,
            text="See `dlcv models`.",
            default="deeplabv3plus_resnet50",
            autocompletion=_model_names,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        _option("--weights", panel=MODEL, text="imagenet, none or a file.", default="none"),
    ] = None,
    init: Annotated[
        Path | None,
        _option("--init", panel=MODEL, text="Begin a new run with the weights of a .ckpt or run."),
    ] = None,
    epochs: Annotated[
        int | None, _option("--epochs", panel=OPTIM, text="Length.", default="50")
    ] = None,
    steps: Annotated[
        int | None, _option("--steps", panel=OPTIM, text="Length, instead of epochs.")
    ] = None,
    batch_size: Annotated[
        int | None, _option("--batch-size", panel=OPTIM, text="Over all devices.", default="8")
    ] = None,
    lr: Annotated[
        float | None, _option("--lr", panel=OPTIM, text="Peak rate.", default="1e-3")
    ] = None,
    backbone_lr_scale: Annotated[
        float | None,
        _option(
            "--backbone-lr-scale",
            panel=OPTIM,
            text="Backbone's rate / heads'.",
            default="0.1 with weights, else 1",
        ),
    ] = None,
    optimizer: Annotated[
        OptimizerName | None,
        _option("--optimizer", panel=OPTIM, text="What steps.", default="adamw"),
    ] = None,
    schedule: Annotated[
        ScheduleName | None,
        _option("--schedule", panel=OPTIM, text="How the rate falls.", default="poly"),
    ] = None,
    loss: Annotated[
        LossName | None,
        _option("--loss", panel=OPTIM, text="What is minimised.", default="cross_entropy"),
    ] = None,
    out: Annotated[
        Path | None,
        _option("--out", panel=RUN, text="The run folder.", default="runs/TIME-MODEL"),
    ] = None,
    resume: Annotated[
        Path | None, _option("--resume", panel=RUN, text="Go on with a run, exactly.")
    ] = None,
    extend: Annotated[
        bool, _option("--extend", panel=RUN, text="With --resume: change its length.")
    ] = False,
    max_time: Annotated[
        str | None,
        _option("--max-time", panel=RUN, text="Stop in good order after 90s, 15m, 1h30m."),
    ] = None,
    snapshot: Annotated[
        list[str] | None,
        _option(
            "--snapshot",
            panel=RUN,
            text="Keep masks of this image, early, middle and final; a file, or a name in the "
            "validation split. Repeatable.",
        ),
    ] = None,
    seed: Annotated[
        int | None, _option("--seed", panel=RUN, text="Of everything random.", default="0")
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"] | None,
        _option("--precision", panel=RUN, text="Of the arithmetic.", default="auto"),
    ] = None,
    deterministic: Annotated[
        bool,
        _option("--deterministic", panel=RUN, text="Repeatable algorithms on a GPU too; slower."),
    ] = False,
    devices: Annotated[
        int | None, _option("--devices", panel=RUN, text="Ranks on this machine.", default="1")
    ] = None,
    sync_batchnorm: Annotated[
        bool,
        _option(
            "--sync-batchnorm",
            panel=RUN,
            text="Compute BatchNorm over the batches of all ranks together; needs GPUs.",
        ),
    ] = False,
    workers: Annotated[
        int | None,
        _option("--workers", panel=RUN, text="Loader processes.", default="by the cores"),
    ] = None,
    recipe: Annotated[
        str | None,
        _option("--recipe", panel=SETTINGS, text="Shipped settings.", autocompletion=_recipe_names),
    ] = None,
    config: Annotated[
        Path | None, _option("--config", panel=SETTINGS, text="YAML file of settings.")
    ] = None,
    sets: Annotated[
        list[str] | None,
        _option("--set", panel=SETTINGS, text="One setting, a.b=value. Repeatable."),
    ] = None,
    print_config: Annotated[
        bool, _option("--print-config", panel=SETTINGS, text="Print the settings and exit.")
    ] = False,
) -> None:
    """Train a segmenter on a folder of images and masks."""
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
    if extend and resume is None:
        raise UsageError("--extend goes with --resume")
    if resume is not None:
        _refuse_with_resume(out=out, init=init, recipe=recipe, config=config)
    settings = _resolve(resume, recipe, config, flags, sets or [])
    if print_config:
        from dlcvcli.config.load import to_yaml

        typer.echo(to_yaml(settings), nl=False)
        return
    request = _prepare(settings, out=out, resume=resume, extend=extend, init=init)
    _train(request)


def _refuse_with_resume(**flags: Path | str | None) -> None:
    for name, value in flags.items():
        if value is not None:
            raise UsageError(
                f"--{name} does not go with --resume, which goes on with a run as it was begun"
            )


def _resolve(
    resume: Path | None,
    recipe: str | None,
    config: Path | None,
    flags: dict[str, Any],
    sets: list[str],
) -> TrainSegSettings:
    from dlcvcli.config.load import resolve
    from dlcvcli.config.schema import TrainSegSettings
    from dlcvcli.machine import torchrun_shape
    from dlcvcli.models.registry import model_entry
    from dlcvcli.runs import RunFolder

    base = None
    if resume is not None:
        base = RunFolder.open(resume).read_config()
        # A limit of the session that was resumed, not of the run.
        base.get("train", {}).pop("max_time", None)
        if torchrun_shape() is not None:
            # It says how many ranks there are now.
            base.get("train", {}).pop("devices", None)
    settings = resolve(
        TrainSegSettings, base=base, recipe=recipe, file=config, flags=flags, sets=sets
    )
    model_entry(settings.model.name)
    return settings


def _prepare(
    settings: TrainSegSettings,
    *,
    out: Path | None,
    resume: Path | None,
    extend: bool,
    init: Path | None,
) -> RunRequest:
    """Find out what is wrong before torch is imported, which takes seconds."""
    from dlcvcli.inference.load import require_torch
    from dlcvcli.runs import RunFolder, default_run_path
    from dlcvcli.training.data import resolve_settings
    from dlcvcli.training.resume import require_same_settings

    require_torch("training")
    if init is not None:
        init = _checkpoint_at(init)
    run = RunFolder(resume or out or default_run_path(settings.model.name))
    if resume is None:
        run.require_free()
    data = _check_data(settings, known=resume is not None)
    settings = resolve_settings(settings, data.train, data.counted)
    if resume is not None:
        require_same_settings(run.read_config(), settings, extend=extend)

    from dlcvcli.training.run import RunRequest

    return RunRequest(run, settings, data, resume is not None, extend, init)


def _checkpoint_at(init: Path) -> Path:
    """Return the checkpoint that --init names: a file, or the best of a run."""
    from dlcvcli.runs import find_model

    ref = find_model(init)
    if ref.kind != "checkpoint":
        raise UsageError(f"--init {init} is no checkpoint", "give a run folder or a .ckpt")
    return ref.path


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


def _train(request: RunRequest) -> None:
    from dlcvcli.cli.console import on_terminal, say, stdout
    from dlcvcli.machine import this_rank
    from dlcvcli.training.run import train

    if this_rank():
        train(request, lost=_give_up)
        return
    if on_terminal():
        from dlcvcli.cli.live import LiveView

        with LiveView() as view:
            results = train(request, hooks=view, say=view.print, lost=_give_up)
    else:
        results = train(request, say=say, lost=_give_up)
    stdout().print(_summary(results, request))
    if results["finished"]:
        data = shlex.quote(request.settings.data.path)
        command = f"dlcv eval {shlex.quote(str(request.run.path))} --data {data} --onnx --compare"
        stdout().print(f"next: {command}", markup=False, soft_wrap=True)


def _give_up(error: RankLost) -> None:
    """End this rank from another thread: its own may hang in an exchange with one that is gone."""
    import os

    from dlcvcli.cli.console import complain
    from dlcvcli.machine import this_rank

    if not this_rank():
        complain(error.message, error.hint)
    os._exit(int(error.status))


def _summary(results: dict[str, Any], request: RunRequest) -> Any:
    from dlcvcli.cli.console import facts, fraction

    rows = []
    best = results["best"]
    if best is not None:
        score = f"{fraction(best['miou'])} at step {best['step']}, epoch {best['epoch']:g}"
        rows.append(("best validation mIoU", score))
    if "metrics" in results:
        rows.append(("the same in fp32", fraction(results["metrics"]["miou"])))
    rows += [
        ("steps", f"{results['step']} of {results['total_steps']}"),
        ("time", f"{results['wall_s']:.0f} s, {results['images_per_s']:.1f} images/s"),
        ("waiting for data", f"{results['data_wait']:.1%}"),
        ("figures", str(request.run.figures)),
    ]
    return facts(f"{results['model']} in {request.run.path}", rows)
