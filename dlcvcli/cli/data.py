"""`dlcv data`: the group of commands; and `make`, `check` and `stats`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dlcvcli.cli import data_get, data_masks
from dlcvcli.cli.data_classes import check_classes, count_classes, find_classes
from dlcvcli.cli.flags import JsonTo
from dlcvcli.errors import DataError, MissingExtra, UsageError

if TYPE_CHECKING:
    from dlcvcli.data.audit import Audit
    from dlcvcli.data.segmentation import SegmentationSet

_MAKE_TILES = "dlcv data make landcover tiles --train 16 --validation 4 --size 128x128"
MAKE_EPILOG = (
    f"{_MAKE_TILES}\n\ndlcv data make glyphs characters --alphabets 12 --drawers 16 --size 28x28"
)
CHECK_EPILOG = f"{_MAKE_TILES}\n\ndlcv data check tiles\n\ndlcv data check tiles --json check.json"
STATS_EPILOG = (
    f"{_MAKE_TILES}\n\ndlcv data stats tiles\n\ndlcv data stats tiles --figure classes.png"
)

# Kind -> default numbers, default size, and a description of the set.
_SYNTHETIC: dict[str, tuple[dict[str, int], str, str]] = {
    "landcover": (
        {"train": 64, "validation": 16},
        "512x512",
        "{train} training and {validation} validation tiles",
    ),
    "shapes": (
        {"train": 2000, "validation": 400},
        "64x64",
        "{train} training and {validation} validation images of shapes",
    ),
    "glyphs": (
        {"alphabets": 10, "characters": 20, "drawers": 20},
        "105x105",
        "{alphabets} alphabets of {characters} characters by {drawers} drawers",
    ),
}

_HELP = "Download, generate, check, count and convert data sets."

app = typer.Typer(help=_HELP, no_args_is_help=True)

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of the set.", show_default=False)
]
Classes = Annotated[
    str,
    typer.Option(
        help="Class preset (landcover7, camvid11, voc21) or YAML file with names and colours; "
        "auto takes the preset of the layout."
    ),
]
LayoutOption = Annotated[
    str,
    typer.Option(
        help="Layout: sat_mask, images_masks, camvid or voc; of images by class: class_folders, "
        "csv, flat or omniglot; auto recognises it."
    ),
]
IgnoreIndex = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=255,
        help="Id of pixels without a label in the masks, e.g. 255.",
        show_default="as in the class set",
    ),
]
Binarise = Annotated[
    bool,
    typer.Option(
        "--binarise",
        help="Round each channel of the masks to 0 or 255, then look up colours: for masks stored "
        "in a lossy format such as JPEG, or in black and white.",
    ),
]


@app.callback(help=_HELP)
def _group() -> None: ...


app.command("get", epilog=data_get.EPILOG)(data_get.get)
app.command("decode", epilog=data_masks.DECODE_EPILOG)(data_masks.decode)
app.command("encode", epilog=data_masks.ENCODE_EPILOG)(data_masks.encode)


@app.command("make", epilog=MAKE_EPILOG)
def make(
    kind: Annotated[
        Literal["landcover", "shapes", "glyphs"],
        typer.Argument(
            help="landcover for segmentation, shapes for classification, glyphs for few-shot "
            "learning."
        ),
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="New folder for the set.", show_default=False)
    ],
    train: Annotated[
        int | None,
        typer.Option(
            min=1, help="landcover, shapes: training images.", show_default="64, shapes 2000"
        ),
    ] = None,
    validation: Annotated[
        int | None,
        typer.Option(
            min=1, help="landcover, shapes: validation images.", show_default="16, shapes 400"
        ),
    ] = None,
    alphabets: Annotated[
        int | None, typer.Option(min=1, help="glyphs: number of alphabets.", show_default="10")
    ] = None,
    characters: Annotated[
        int | None,
        typer.Option(min=1, help="glyphs: characters of each alphabet.", show_default="20"),
    ] = None,
    drawers: Annotated[
        int | None,
        typer.Option(min=1, help="glyphs: images of each character.", show_default="20"),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Height and width of each image in pixels, e.g. 256x256.",
            show_default="512x512, shapes 64x64, glyphs 105x105",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed; the same seed gives the same files.")
    ] = 0,
) -> None:
    """Generate a synthetic set: tiles of 7 land-cover classes, images of shapes, or characters."""
    from dlcvcli.cli.console import counting, say
    from dlcvcli.config.sizes import read_size
    from dlcvcli.data.glyphs import make_glyphs
    from dlcvcli.data.shapes import make_shapes
    from dlcvcli.data.synthetic import make_landcover
    from dlcvcli.files import is_new

    typed = {
        "train": train,
        "validation": validation,
        "alphabets": alphabets,
        "characters": characters,
        "drawers": drawers,
    }
    defaults, default_size, description = _SYNTHETIC[kind]
    own = {name: typed[name] for name in defaults}
    for name, value in typed.items():
        if value is not None and name not in own:
            raise UsageError(
                f"--{name} does not apply to {kind}", f"{kind} takes --{', --'.join(own)}"
            )
    counts = defaults | {name: value for name, value in own.items() if value is not None}
    height, width = read_size(size or default_size)
    if not is_new(folder):
        raise UsageError(f"{folder} exists and is not empty", "choose a new folder")
    writers: dict[str, Callable[..., None]] = {
        "landcover": make_landcover,
        "shapes": make_shapes,
        "glyphs": make_glyphs,
    }
    with counting("generating images") as progress:
        writers[kind](folder, **counts, size=(height, width), seed=seed, progress=progress)
    say(f"wrote {description.format(**counts)}, {height}x{width}, to {folder}")


@app.command("check", epilog=CHECK_EPILOG)
def check(
    folder: Folder,
    classes: Classes = "auto",
    layout: LayoutOption = "auto",
    ignore_index: IgnoreIndex = None,
    binarise: Binarise = False,
    json_to: JsonTo = None,
) -> None:
    """Read every file of a segmentation or classification set, and list its problems.

    The exit status is 1 if a file cannot be used. Images that two splits share are a warning, and
    so are images by class that look alike.
    """
    by_class = find_classes(folder, layout)
    if by_class is not None:
        check_classes(by_class, folder, json_to)
        return
    from dlcvcli.cli.console import say, stdout, write_result
    from dlcvcli.data.audit import describe_shared, remarks, shared_between

    audits = _audit(folder, classes, layout, ignore_index, binarise)
    problems = [problem for _, result in audits for problem in result.problems]
    shared = shared_between({data.split: result.image_digests for data, result in audits})
    duplicates = [{"splits": list(splits), "images": names} for splits, names in shared.items()]
    write_result(_as_dict(audits) | {"duplicates": duplicates}, json_to)
    for problem in problems:
        say(problem.message)
    if problems:
        count = f"{len(problems)} problem{'' if len(problems) == 1 else 's'}"
        raise DataError(f"{count} in {folder}, listed above", problems[0].hint)
    for data, result in audits:
        for line in remarks(result, data):
            say(line)
    images = {data.split: result.images for data, result in audits}
    for (one, other), names in shared.items():
        say(f"warning: {describe_shared(names, images[other], other, one)}")
    if json_to != "-":
        total = sum(result.images for _, result in audits)
        splits = ", ".join(f"{data.split} {result.images}" for data, result in audits)
        stdout().print(f"{total} images are sound ({splits})", markup=False)


@app.command("stats", epilog=STATS_EPILOG)
def stats(
    folder: Folder,
    classes: Classes = "auto",
    layout: LayoutOption = "auto",
    ignore_index: IgnoreIndex = None,
    binarise: Binarise = False,
    json_to: JsonTo = None,
    figure: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Draw the balance of the classes to this .png or .pdf file.",
        ),
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Use a logarithmic axis in the figure, for rare classes.")
    ] = False,
) -> None:
    """Count the images, image sizes, and pixels or images of each class in a set."""
    from dlcvcli.cli.console import say, stdout, write_result

    # Reading a set can take minutes: report wrong flags first.
    _check_figure(figure, log)
    by_class = find_classes(folder, layout)
    if by_class is not None:
        count_classes(by_class, json_to, figure, log)
        return
    audits = _audit(folder, classes, layout, ignore_index, binarise)
    for _, result in audits:
        for problem in result.problems:
            say(f"left out: {problem.message}")
    write_result(_as_dict(audits), json_to)
    if json_to != "-":
        for data, result in audits:
            stdout().print(_stats_table(data, result))
    if figure is not None:
        from dlcvcli.figures.balance import balance
        from dlcvcli.figures.style import save

        splits = {data.split: result for data, result in audits}
        save(balance(splits, audits[0][0].classes, log=log), figure)
        say(f"wrote {figure}")


def _check_figure(figure: Path | None, log: bool) -> None:
    from importlib.util import find_spec

    if figure is None:
        if log:
            raise UsageError("--log needs --figure", "add, for instance, --figure classes.png")
        return
    if figure.suffix.lower() not in {".png", ".pdf"}:
        raise UsageError(
            f"--figure {figure} ends neither in .png nor in .pdf",
            f"choose, for instance, --figure {figure.with_suffix('.png')}",
        )
    if figure.is_dir():
        raise UsageError(f"--figure {figure} is a folder", "name a file in it")
    if find_spec("matplotlib") is None:
        raise MissingExtra(
            "a figure needs matplotlib, which is not installed",
            "in dlcv's source folder: pip install '.[train]'",
        )


def _audit(
    folder: Path, classes: str, layout: str, ignore_index: int | None, binarise: bool
) -> list[tuple[SegmentationSet, Audit]]:
    from dlcvcli.cli.console import counting, say
    from dlcvcli.data.audit import audit
    from dlcvcli.data.layouts import find_layout
    from dlcvcli.data.segmentation import SegmentationSet, class_set_for

    recognised = find_layout(folder, layout)
    class_set = class_set_for(recognised, classes, ignore_index)
    say(f"{recognised.describe()}; classes {class_set.name}")
    results = []
    with counting("reading images") as progress:
        for split, pairs in recognised.splits.items():
            data = SegmentationSet(pairs, class_set, split, recognised.root, binarise=binarise)
            results.append((data, audit(data, progress)))
    return results


def _as_dict(audits: list[tuple[SegmentationSet, Audit]]) -> dict[str, Any]:
    return {
        "classes": audits[0][0].classes.name,
        "splits": {data.split: result.as_dict(data.classes.names) for data, result in audits},
    }


def _stats_table(data: SegmentationSet, result: Audit) -> Any:
    from rich.table import Table
    from rich.text import Text

    known = result.as_dict(data.classes.names)
    sizes = ", ".join(f"{size} ({count})" for size, count in list(known["sizes"].items())[:4])
    more = f" and {len(known['sizes']) - 4} more" if len(known["sizes"]) > 4 else ""
    table = Table(
        title=Text(f"{data.split}: {result.images} images, {sizes}{more}"), title_justify="left"
    )
    for column in ("class", "pixels", "fraction", "images"):
        table.add_column(column, justify="left" if column == "class" else "right")
    table.add_column("")
    largest = max((entry["share"] for entry in known["classes"].values()), default=0) or 1
    for name, entry in known["classes"].items():
        bar = "█" * round(30 * entry["share"] / largest)
        fraction = f"{entry['share']:.2%}" if entry["pixels"] else "absent"
        table.add_row(Text(name), f"{entry['pixels']:,}", fraction, str(entry["images"]), bar)
    table.add_row("(ignored)", f"{known['ignored_pixels']:,}", "", "", "")
    return table
