"""`dlcv data`: the group; and to make, check and count annotated sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from dlcvcli.cli import data_get, data_masks
from dlcvcli.cli.flags import JsonTo
from dlcvcli.errors import DataError, MissingExtra, UsageError

if TYPE_CHECKING:
    from dlcvcli.data.audit import Audit
    from dlcvcli.data.segmentation import SegmentationSet

MAKE_EPILOG = (
    "dlcv data make landcover made --train 64 --size 256x256"
    "\n\ndlcv data make glyphs characters --alphabets 12 --size 28x28"
)

# What --help says of them: kind -> numbers, size, and what they come to.
_MADE: dict[str, tuple[dict[str, int], str, str]] = {
    "landcover": (
        {"train": 64, "validation": 16},
        "512x512",
        "{train} training and {validation} validation tiles",
    ),
    "glyphs": (
        {"alphabets": 10, "characters": 20, "drawers": 20},
        "105x105",
        "{alphabets} alphabets of {characters} characters by {drawers} drawers",
    ),
}

app = typer.Typer(help="Get, make, check, count and convert annotated sets.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The set's folder.", show_default=False)]
Classes = Annotated[str, typer.Option(help="Class preset or YAML file; auto: as the layout says.")]
LayoutOption = Annotated[str, typer.Option(help="How the folder is laid out.")]
IgnoreIndex = Annotated[
    int | None,
    typer.Option(min=0, max=255, help="Id without a label.", show_default="as the class set says"),
]
Binarise = Annotated[
    bool,
    typer.Option("--binarise", help="Cut masks at 128 and read them by colour (lossy, or 0/255)."),
]


@app.callback()
def _group() -> None:
    """Get, make, check, count and convert annotated sets."""


app.command("get", epilog=data_get.EPILOG)(data_get.get)
app.command("decode", epilog=data_masks.DECODE_EPILOG)(data_masks.decode)
app.command("encode", epilog=data_masks.ENCODE_EPILOG)(data_masks.encode)


@app.command("make", epilog=MAKE_EPILOG)
def make(
    kind: Annotated[Literal["landcover", "glyphs"], typer.Argument(help="What to make.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to.", show_default=False)],
    train: Annotated[
        int | None, typer.Option(min=1, help="landcover: training images.", show_default="64")
    ] = None,
    validation: Annotated[
        int | None, typer.Option(min=1, help="landcover: validation images.", show_default="16")
    ] = None,
    alphabets: Annotated[
        int | None, typer.Option(min=1, help="glyphs: alphabets.", show_default="10")
    ] = None,
    characters: Annotated[
        int | None, typer.Option(min=1, help="glyphs: characters of each.", show_default="20")
    ] = None,
    drawers: Annotated[
        int | None, typer.Option(min=1, help="glyphs: images of a character.", show_default="20")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="HxW of each image.", show_default="512x512, glyphs 105x105"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything in it.")] = 0,
) -> None:
    """Make a procedural set: satellite-like tiles of 7 land-cover classes, or characters."""
    from dlcvcli.cli.console import counting, say
    from dlcvcli.config.sizes import read_size
    from dlcvcli.data.glyphs import make_glyphs
    from dlcvcli.data.synthetic import make_landcover
    from dlcvcli.files import is_new

    numbers = {
        "landcover": {"train": train, "validation": validation},
        "glyphs": {"alphabets": alphabets, "characters": characters, "drawers": drawers},
    }
    own = numbers.pop(kind)
    for name, value in next(iter(numbers.values())).items():
        if value is not None:
            raise UsageError(f"--{name} is not for {kind}", f"{kind} has --{', --'.join(own)}")
    defaults, default_size, told = _MADE[kind]
    counts = defaults | {name: value for name, value in own.items() if value is not None}
    height, width = read_size(size or default_size)
    if not is_new(folder):
        raise UsageError(f"{folder} exists and is not empty", "choose a new folder")
    write: Callable[..., None] = make_landcover if kind == "landcover" else make_glyphs
    with counting("making images") as progress:
        write(folder, **counts, size=(height, width), seed=seed, progress=progress)
    say(f"{told.format(**counts)} of {height}x{width} in {folder}")


@app.command("check")
def check(
    folder: Folder,
    classes: Classes = "auto",
    layout: LayoutOption = "auto",
    ignore_index: IgnoreIndex = None,
    binarise: Binarise = False,
    json_to: JsonTo = None,
) -> None:
    """Read every file of a set, and list what is wrong with it."""
    from dlcvcli.cli.console import say, stdout, write_result
    from dlcvcli.data.audit import describe_shared, remarks, shared_between

    found = _audit(folder, classes, layout, ignore_index, binarise)
    problems = [problem for _, result in found for problem in result.problems]
    shared = shared_between({data.split: result for data, result in found})
    duplicates = [{"splits": list(splits), "images": names} for splits, names in shared.items()]
    write_result(_as_dict(found) | {"duplicates": duplicates}, json_to)
    for problem in problems:
        say(problem.message)
    if problems:
        raise DataError(f"{len(problems)} problems in {folder}", problems[0].hint)
    for data, result in found:
        for line in remarks(result, data):
            say(line)
    images = {data.split: result.images for data, result in found}
    for (one, other), names in shared.items():
        say(f"warning: {describe_shared(names, images[other], other, one)}")
    if json_to != "-":
        total = sum(result.images for _, result in found)
        splits = ", ".join(f"{data.split} {result.images}" for data, result in found)
        stdout().print(f"{total} images are sound ({splits})", markup=False)


@app.command("stats")
def stats(
    folder: Folder,
    classes: Classes = "auto",
    layout: LayoutOption = "auto",
    ignore_index: IgnoreIndex = None,
    binarise: Binarise = False,
    json_to: JsonTo = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Draw the balance of the classes: .png or .pdf."),
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="A logarithmic axis, where classes differ a lot.")
    ] = False,
) -> None:
    """Count images, sizes and the pixels of every class."""
    from dlcvcli.cli.console import say, stdout, write_result

    # A set takes minutes to read: what is wrong with the flags is told before.
    _check_figure(figure, log)
    found = _audit(folder, classes, layout, ignore_index, binarise)
    for _, result in found:
        for problem in result.problems:
            say(f"left out: {problem.message}")
    write_result(_as_dict(found), json_to)
    if json_to != "-":
        for data, result in found:
            stdout().print(_stats_table(data, result))
    if figure is not None:
        from dlcvcli.figures.balance import balance
        from dlcvcli.figures.style import save

        splits = {data.split: result for data, result in found}
        save(balance(splits, found[0][0].classes, log=log), figure)
        say(f"drew {figure}")


def _check_figure(figure: Path | None, log: bool) -> None:
    from importlib.util import find_spec

    if figure is None:
        if log:
            raise UsageError("--log is for a figure", "add --figure FILE.png")
        return
    if figure.suffix.lower() not in {".png", ".pdf"}:
        raise UsageError(f"--figure {figure} ends neither in .png nor in .pdf")
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

    found = find_layout(folder, layout)
    known = class_set_for(found, classes, ignore_index)
    say(f"{found.describe()}; classes {known.name}")
    results = []
    with counting("reading") as progress:
        for split, pairs in found.splits.items():
            data = SegmentationSet(pairs, known, split, found.root, binarise=binarise)
            results.append((data, audit(data, progress)))
    return results


def _as_dict(found: list[tuple[SegmentationSet, Audit]]) -> dict[str, Any]:
    return {
        "classes": found[0][0].classes.name,
        "splits": {data.split: result.as_dict(data.classes.names) for data, result in found},
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
    for column in ("class", "pixels", "share", "images"):
        table.add_column(column, justify="left" if column == "class" else "right")
    table.add_column("")
    largest = max((entry["share"] for entry in known["classes"].values()), default=0) or 1
    for name, entry in known["classes"].items():
        bar = "█" * round(30 * entry["share"] / largest)
        share = f"{entry['share']:.2%}" if entry["pixels"] else "absent"
        table.add_row(Text(name), f"{entry['pixels']:,}", share, str(entry["images"]), bar)
    table.add_row("(ignored)", f"{known['ignored_pixels']:,}", "", "", "")
    return table
