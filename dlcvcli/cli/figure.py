"""`dlcv figure`: figures of networks and of what run folders hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcvcli.cli import figure_episode
from dlcvcli.cli.data import Binarise, IgnoreIndex, LayoutOption
from dlcvcli.cli.data import Classes as ClassSetOption
from dlcvcli.cli.figure_file import require_drawing, require_format, save_figure
from dlcvcli.cli.networks import ClassesOption, SetOption, SizeOption
from dlcvcli.errors import DataError, UsageError

if TYPE_CHECKING:
    from dlcvcli.data.segmentation import SegmentationSet
    from dlcvcli.inference.examples import Example
    from dlcvcli.inference.predictor import Predictor
    from dlcvcli.palette import ClassSet
    from dlcvcli.runs import RunFolder

app = typer.Typer(help="Draw figures of runs, models, sets and networks.", no_args_is_help=True)

RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)
]
ColourBlind = Annotated[
    bool,
    typer.Option("--colour-blind", help="Class colours that every colour vision tells apart."),
]


def _out(default: str) -> Any:
    return typer.Option("--out", help="A .png or .pdf file.", show_default=default)


@app.callback()
def _group() -> None:
    """Draw figures of runs, models, sets and networks."""


app.command("episode", epilog=figure_episode.EPILOG)(figure_episode.episode)


@app.command(
    "architecture",
    epilog=(
        "dlcv figure architecture fcn8s_vgg16 --out fcn8s.pdf\n\n"
        "dlcv figure architecture conv4 --size 28x28"
    ),
)
def architecture(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="See `dlcv models`.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="A .png or .pdf file.", show_default="NAME.png")
    ] = None,
    size: SizeOption = None,
    classes: ClassesOption = None,
    sets: SetOption = None,
) -> None:
    """Draw the blocks of a network and the data flow between them, with shapes and strides."""
    from dlcvcli.cli.networks import classes_of, read_options, size_of
    from dlcvcli.inference.load import require_torch
    from dlcvcli.models.registry import model_entry

    entry = model_entry(name)
    target = out or Path(f"{entry.name}.png")
    require_format(target)
    height_width, options = size_of(entry, size), read_options(sets)
    num_classes = classes_of(entry, classes)
    require_torch("measuring a network")
    from dlcvcli.figures.architecture import architecture as draw
    from dlcvcli.models.profile import build_on_meta

    network = build_on_meta(name, num_classes=num_classes, options=options)
    save_figure(draw(name, network, height_width), target)


@app.command(
    "snapshots", epilog="dlcv figure snapshots runs/first --image 0013 --epoch 1 --epoch 20"
)
def snapshots(
    run: RunArgument,
    image: Annotated[
        list[str] | None,
        typer.Option(help="Of this image only. Repeatable.", show_default="all that were kept"),
    ] = None,
    epoch: Annotated[
        list[float] | None,
        typer.Option(
            help="Of about this epoch only. Repeatable.", show_default="all that were kept"
        ),
    ] = None,
    out: Annotated[Path | None, _out("RUN/figures/snapshots.png")] = None,
    colour_blind: ColourBlind = False,
) -> None:
    """Draw the masks that a run kept: a column an image, a row an epoch, the truth last."""
    from dlcvcli.runs import RunFolder

    folder = RunFolder.open(run)
    target = out or folder.figures / "snapshots.png"
    require_drawing(target)
    from dlcvcli.figures.masks import snapshot_grid

    per_epoch = folder.steps_per_epoch()
    if epoch and per_epoch is None:
        raise UsageError(f"{run} has no records that say how long an epoch is", "leave --epoch out")
    steps = _kept_steps(folder, per_epoch or 1, epoch or [])
    classes = _coloured(folder.read_classes(), colour_blind)
    save_figure(snapshot_grid(folder, classes, per_epoch, images=image or (), steps=steps), target)


def _kept_steps(run: RunFolder, per_epoch: int, epochs: list[float]) -> list[int]:
    """Return the kept step that is nearest to each epoch, at most half an epoch away."""
    kept = run.snapshot_steps()
    steps = []
    for epoch in epochs if kept else ():
        nearest = min(kept, key=lambda step: abs(step - epoch * per_epoch))
        if 2 * abs(nearest - epoch * per_epoch) > per_epoch:
            listed = ", ".join(f"{step / per_epoch:.3g}" for step in kept)
            raise DataError(
                f"{run.path} kept no masks of epoch {epoch:g}; it kept those of epochs {listed}",
                "choose the epochs when training: --set 'snapshot.epochs=[1, 10, 20]'",
            )
        steps.append(nearest)
    return list(dict.fromkeys(steps))


@app.command("curves", epilog="dlcv figure curves runs/fcn32s runs/fcn8s --out curves.pdf")
def curves(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders.", show_default=False)
    ],
    metric: Annotated[
        str | None,
        typer.Option(
            help="Of the validation: miou, overall_acc, mean_acc, freqw_acc, accuracy.",
            show_default="what the best is chosen by",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(help="What to call each run, in order.", show_default="as its folder"),
    ] = None,
    out: Annotated[Path, _out("curves.png")] = Path("curves.png"),
) -> None:
    """Draw the training loss and the validation score of several runs on one plot."""
    from dlcvcli.runs import RunFolder

    require_drawing(out)
    from dlcvcli.errors import nearest
    from dlcvcli.figures.curves import METRICS
    from dlcvcli.figures.curves import curves as draw

    if metric is None:
        fewshot = RunFolder.open(runs[0]).read_config().get("task") == "fewshot"
        metric = "accuracy" if fewshot else "miou"
    if metric not in METRICS:
        raise UsageError(f"unknown metric '{metric}'", nearest(metric, METRICS))
    titles = _titles(runs, name)
    save_figure(
        draw({t: RunFolder.open(run) for t, run in zip(titles, runs, strict=True)}, metric), out
    )


@app.command(
    "compare",
    epilog="dlcv figure compare runs/fcn32s runs/fcn8s --data my-set --image 0013 --image 0062"
    "\n\ndlcv figure compare runs/first --data my-set --worst 4 --best 2 --out extremes.pdf",
)
def compare(
    models: Annotated[
        list[Path],
        typer.Argument(metavar="MODEL...", help="Run folders, .ckpt or .onnx.", show_default=False),
    ],
    data: Annotated[Path, typer.Option(help="Folder of images and masks.", show_default=False)],
    split: Annotated[str, typer.Option(help="Split; a set without splits gives all.")] = "val",
    image: Annotated[
        list[str] | None, typer.Option(help="An image by name. Repeatable.", show_default=False)
    ] = None,
    worst: Annotated[int, typer.Option(min=0, help="The first model's worst images.")] = 0,
    best: Annotated[int, typer.Option(min=0, help="The first model's best images.")] = 0,
    count: Annotated[
        int, typer.Option(min=1, help="How many, evenly spread, where none are chosen.")
    ] = 5,
    name: Annotated[
        list[str] | None,
        typer.Option(help="What to call each model, in order.", show_default="as its folder"),
    ] = None,
    outlines: Annotated[
        bool, typer.Option("--outlines/--no-outlines", help="Outline what differs from the truth.")
    ] = True,
    out: Annotated[Path, _out("compare.png")] = Path("compare.png"),
    colour_blind: ColourBlind = False,
) -> None:
    """Draw image | truth | model A | model B ..., with what differs from the truth outlined."""
    require_drawing(out)
    from dlcvcli.data.layouts import find_image
    from dlcvcli.figures.masks import Row, side_by_side
    from dlcvcli.inference.examples import predict_examples

    titles = _titles(models, name)
    predictors, found = _open_models(dict(zip(titles, models, strict=True)), data, split)
    indices = [found.pairs.index(find_image(found.pairs, wanted)) for wanted in image or ()]
    indices += _extremes(predictors[titles[0]], found, worst, best)
    if not indices:
        spread = min(count, len(found))
        indices = [place * len(found) // spread for place in range(spread)]
    examples = predict_examples(predictors, found, list(dict.fromkeys(indices)))
    rows = [
        Row(example.name, example.image, example.truth, example.masks, _captions(example))
        for example in examples
    ]
    figure = side_by_side(rows, _coloured(found.classes, colour_blind), outlined=outlines)
    save_figure(figure, out)


@app.command("grid", epilog="dlcv figure grid VOCdevkit --count 20 --out classes.pdf")
def grid(
    data: Annotated[
        Path, typer.Argument(metavar="DIR", help="The set's folder.", show_default=False)
    ],
    split: Annotated[str, typer.Option(help="Split; a set without splits gives all.")] = "train",
    count: Annotated[int, typer.Option(min=1, help="Images.")] = 20,
    columns: Annotated[int, typer.Option(min=2, help="Pictures in a row, two an image.")] = 10,
    classes: ClassSetOption = "auto",
    layout: LayoutOption = "auto",
    ignore_index: IgnoreIndex = None,
    binarise: Binarise = False,
    out: Annotated[Path, _out("grid.png")] = Path("grid.png"),
    colour_blind: ColourBlind = False,
) -> None:
    """Draw images that together show all classes, each beside its annotation."""
    from dlcvcli.cli.console import counting, say
    from dlcvcli.data.segmentation import open_split

    require_drawing(out)
    if columns % 2:
        raise UsageError(f"--columns {columns} is odd, and every image takes two", "e.g. 10")
    found = open_split(
        data, split, layout=layout, classes=classes, ignore_index=ignore_index, binarise=binarise
    )
    from dlcvcli.data.cover import class_shares, greedy_cover
    from dlcvcli.figures.grids import annotation_grid

    with counting("looking for classes") as progress:
        shares = class_shares(found, progress)
    chosen = greedy_cover(shares, count)
    names = found.classes.names
    missing = [n for n, share in zip(names, shares[chosen].max(axis=0), strict=True) if not share]
    shown = "1 image shows" if len(chosen) == 1 else f"{len(chosen)} images show"
    say(f"{shown} {len(names) - len(missing)} of {len(names)} classes")
    if missing:
        say(f"without: {', '.join(missing)}")
    coloured = _coloured(found.classes, colour_blind)
    samples = [found.read(index) for index in chosen]
    save_figure(annotation_grid(samples, coloured, columns=columns), out)


@app.command(
    "confusion",
    epilog="dlcv eval RUN --data D --json result.json; dlcv figure confusion result.json",
)
def confusion(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT", help="What `dlcv eval --json` wrote, or a run.", show_default=False
        ),
    ],
    out: Annotated[Path, _out("confusion.png")] = Path("confusion.png"),
) -> None:
    """Draw the confusion matrix of an evaluation, each row as shares of its true class."""
    require_drawing(out)
    from dlcvcli.figures.confusion import confusion_figure, read_confusion

    save_figure(confusion_figure(*read_confusion(source)), out)


def _open_models(
    models: dict[str, Path], data: Path, split: str
) -> tuple[dict[str, Predictor], SegmentationSet]:
    """Load models that tell the same classes apart, and the split that they are shown."""
    from dlcvcli.cli.annotated_data import open_annotated, warn_of_seen
    from dlcvcli.inference.load import load_predictor
    from dlcvcli.runs import find_model

    predictors = {
        title: load_predictor(find_model(path), fixed_shapes=False)
        for title, path in models.items()
    }
    cards = {title: predictor.card for title, predictor in predictors.items()}
    first, card = next(iter(cards.items()))
    for title, other in cards.items():
        if other.classes.names != card.classes.names:
            raise UsageError(
                f"{first} tells {len(card.classes)} classes of '{card.classes.name}' apart, and "
                f"{title} {len(other.classes)} of '{other.classes.name}'",
                "compare models of the same classes",
            )
    # Every model stretches them by itself.
    found = open_annotated(card, data, split, size=None)
    warn_of_seen(cards, found)
    return predictors, found


def _extremes(predictor: Predictor, found: SegmentationSet, worst: int, best: int) -> list[int]:
    if not worst + best:
        return []
    from dlcvcli.cli.console import counting
    from dlcvcli.inference.examples import rank_images

    with counting("looking for the worst and the best") as progress:
        ranked = rank_images(predictor, found, progress)
    return [*ranked[:worst], *ranked[max(worst, len(ranked) - best) :][::-1]]


def _captions(example: Example) -> dict[str, str]:
    from dlcvcli.cli.console import fraction

    return {title: f"mIoU {fraction(score, 3)}" for title, score in example.scores.items()}


def _titles(paths: list[Path], names: list[str] | None) -> list[str]:
    """Return a name for each path: its own, made longer where two would be alike."""
    if names:
        if len(names) != len(paths) or len(set(names)) != len(names):
            raise UsageError(
                f"{len(names)} --name for {len(paths)} of them", "give each one of its own"
            )
        return names
    whole = [path.resolve() for path in paths]
    for parts in (1, 2, 3):
        found = ["/".join(path.parts[-parts:]) for path in whole]
        if len(set(found)) == len(found):
            return found
    if len(set(whole)) < len(whole):
        raise UsageError("one of them is named twice", "name each once")
    return [str(path) for path in whole]


def _coloured(classes: ClassSet, colour_blind: bool) -> ClassSet:
    from dlcvcli.figures.colours import recoloured

    return recoloured(classes) if colour_blind else classes
