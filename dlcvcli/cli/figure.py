"""`dlcv figure`: figures of networks, of runs, and those that a task adds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dlcvcli.cli.networks import ClassesOption, SetOption, SizeOption
from dlcvcli.config.names import Provider
from dlcvcli.errors import UsageError, nearest
from dlcvcli.tasks.registry import task_of, task_of_run

app = typer.Typer(help="Draw figures of runs, models, sets and networks.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", help="A .png or .pdf file.", show_default="curves.png")]


@app.callback()
def _group() -> None:
    """Draw figures of runs, models, sets and networks."""


@app.command("architecture", epilog="dlcv figure architecture fcn8s_vgg16 --out fcn8s.pdf")
def architecture(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the network; `dlcv models` lists them.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="A .png or .pdf file.", show_default="NAME.png")
    ] = None,
    size: SizeOption = None,
    classes: ClassesOption = None,
    sets: SetOption = None,
) -> None:
    """Draw a network: blocks, the data flow between them, shapes, strides and dilation rates."""
    from dlcvcli.cli.networks import classes_of, read_options, size_of
    from dlcvcli.extras import require_torch
    from dlcvcli.figures.output import require_format
    from dlcvcli.models.registry import model_entry

    entry = model_entry(name)
    target = out or Path(f"{entry.name}.png")
    require_format(target)
    wanted, options = size_of(entry, size), read_options(sets)
    num_classes = classes_of(entry, classes)
    require_torch("measuring a network")
    from dlcvcli.figures.architecture import architecture as draw
    from dlcvcli.figures.style import save
    from dlcvcli.models.profile import build_on_meta

    network = build_on_meta(name, num_classes=num_classes, options=options)
    save(draw(name, network, wanted), target)
    typer.echo(target)


@app.command("curves", epilog="dlcv figure curves runs/fcn32s runs/fcn8s --out curves.pdf")
def curves(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders.", show_default=False)
    ],
    metric: Annotated[
        str | None,
        typer.Option(
            help="A score of the validation, e.g. miou or accuracy.",
            show_default="the one that chooses the best checkpoint",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Title of each run, in order.", show_default="name of its folder"),
    ] = None,
    out: Out = Path("curves.png"),
) -> None:
    """Draw the training loss and the validation score of several runs in one figure."""
    from dlcvcli.figures.output import require_drawing, titles_of
    from dlcvcli.runs import RunFolder

    require_drawing(out)
    from dlcvcli.figures.curves import curves as draw
    from dlcvcli.figures.style import save

    folders = [RunFolder.open(run) for run in runs]
    scores = {score.key: score for score in task_of_run(folders[0]).scores}
    key = next(iter(scores)) if metric is None else metric
    if key not in scores:
        raise UsageError(f"unknown metric '{key}'", nearest(key, scores))
    save(draw(dict(zip(titles_of(runs, name), folders, strict=True)), scores[key]), out)
    typer.echo(out)


@app.command("tsne", epilog="dlcv figure tsne runs/clothing --data clothing --out tsne.png")
def tsne(
    model: Annotated[
        Path,
        typer.Argument(metavar="RUN|MODEL", help="Run folder, .ckpt or .onnx.", show_default=False),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder of labelled images, whose features are computed.",
            show_default="the features that the run saved with --tsne-at",
        ),
    ] = None,
    split: Annotated[
        str, typer.Option(help="Split; of a set without splits, val is what was held out.")
    ] = "val",
    perplexity: Annotated[
        float, typer.Option(min=1, help="Roughly, the number of neighbours that count.")
    ] = 30.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of t-SNE and of the choice.")] = 0,
    max_points: Annotated[
        int, typer.Option(min=5, help="Images to show at most, the same fraction of each class.")
    ] = 2000,
    k: Annotated[
        int, typer.Option("--k", min=1, help="Nearest neighbours whose classes are compared.")
    ] = 5,
    provider: Annotated[Provider, typer.Option(help="Execution provider.")] = "auto",
    out: Annotated[
        Path, typer.Option("--out", help="A .png or .pdf file.", show_default="tsne.png")
    ] = Path("tsne.png"),
) -> None:
    """Draw the t-SNE of features: those of chosen epochs of a run, or of a model on a set."""
    from dlcvcli.cli.console import SHOWN
    from dlcvcli.extras import require_package
    from dlcvcli.figures.output import require_drawing
    from dlcvcli.inference.features import FeatureRequest
    from dlcvcli.runs import RunFolder, find_model

    require_drawing(out)
    require_package("sklearn", "computing t-SNE")
    from dlcvcli.figures.style import save
    from dlcvcli.figures.tsne import draw_tsne, tsne_figure
    from dlcvcli.figures.tsne_layout import compute_tsne

    options: dict[str, Any] = {
        "perplexity": perplexity,
        "seed": seed,
        "k": k,
        "max_points": max_points,
    }
    if data is None:
        drawn = None
        if model.is_dir():
            with SHOWN.counting("computing t-SNE") as progress:
                drawn = draw_tsne(RunFolder.open(model), out, progress=progress, **options)
        if drawn is None:
            raise UsageError(
                f"{model} saved no features during its training",
                "give labelled images with --data DIR, or train with --tsne-at 0,10,20",
            )
        layout = drawn[0]
    else:
        ref = find_model(model)
        spec = task_of(ref)
        if spec.features is None:
            raise UsageError(f"{model} is {spec.noun}, which has no features of an image")
        features = spec.features(FeatureRequest(ref, data, split, provider), SHOWN)
        features.save(out.with_suffix(".npz"))
        layout = compute_tsne({"": features}, **options)
        save(tsne_figure(layout), out)
    for panel in layout.panels:
        typer.echo(f"{panel.title + ': ' if panel.title else ''}{panel.scores}")
    typer.echo(out)
