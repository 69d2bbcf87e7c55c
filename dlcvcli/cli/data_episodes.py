"""`dlcv data episodes`: draw few-shot episodes and write them to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlcvcli.cli.fewshot_flags import AllowOutside
from dlcvcli.errors import UsageError

EPILOG = (
    "dlcv data make glyphs characters --alphabets 4 --drawers 16 --size 28x28"
    "\n\ndlcv data episodes characters --out test.csv"
    "\n\ndlcv data episodes characters --n-way 20 --k-shot 5 --n-query 10 --episodes 1000 --seed 1 "
    "--out test20.csv"
)


def episodes(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder of images by class.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV file to write.", show_default=False)
    ],
    split: Annotated[
        str | None,
        typer.Option(
            help="Split to draw from, e.g. test; of a set without splits, all classes.",
            show_default="test, else val, else all",
        ),
    ] = None,
    splits: Annotated[
        str | None,
        typer.Option(
            help="Split of each class: vinyals (Omniglot), or a CSV file with the header "
            "class,split.",
            show_default="the folders' splits",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Use the splits of this few-shot run, which may have held classes out.",
            show_default=False,
        ),
    ] = None,
    n_way: Annotated[
        int, typer.Option("--n-way", min=2, help="Number of classes in an episode.")
    ] = 5,
    k_shot: Annotated[
        int, typer.Option("--k-shot", min=1, help="Number of support images per class.")
    ] = 1,
    n_query: Annotated[
        int, typer.Option("--n-query", min=1, help="Number of queries per class.")
    ] = 15,
    count: Annotated[int, typer.Option("--episodes", min=1, help="Number of episodes.")] = 600,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed; the same seed gives the same episodes.")
    ] = 0,
    layout: Annotated[
        str,
        typer.Option(
            help="Layout of the folder: class_folders, csv or omniglot; auto recognises it."
        ),
    ] = "auto",
    rotations: Annotated[
        bool,
        typer.Option(
            "--rotations",
            help="Add classes of the images rotated by 90, 180 and 270 degrees.",
        ),
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Draw few-shot episodes and write them to a file, to test several models on the same."""
    from dlcvcli.cli.console import say, stdout
    from dlcvcli.data.episode_file import drawn_episodes, episodes_csv
    from dlcvcli.data.episodes import Shape, require_enough
    from dlcvcli.data.few_shot_split import open_few_shot
    from dlcvcli.files import write_atomically

    known = {} if run is None else _classes_of(run)
    # No image is read: only the names are needed, so that any size will do.
    opened = open_few_shot(
        folder, split, size=(1, 1), layout=layout, splits=splits or "auto",
        rotations=rotations, known=known, allow_outside=allow_outside,
    )  # fmt: skip
    for line in opened.remarks:
        say(line)
    shape, data = Shape(n_way, k_shot, n_query), opened.data
    require_enough(data.sizes, shape, f"split '{data.split}' of {folder}")
    drawn = drawn_episodes(data, shape, seed, count)
    write_atomically(out, episodes_csv(data, drawn))
    stdout().print(
        f"wrote {count} episodes, {shape} with {n_query} queries per class, to {out}; "
        f"sha256 {drawn.sha256}",
        markup=False,
        soft_wrap=True,
    )


def _classes_of(run: Path) -> dict[str, list[str]]:
    """Return split -> names of the classes of a few-shot run."""
    import json

    from dlcvcli.runs import RunFolder

    folder = RunFolder.open(run)
    if folder.read_config().get("task") != "fewshot" or not folder.environment.is_file():
        raise UsageError(
            f"{run} is not a few-shot run", "give the run folder of a dlcv train fewshot"
        )
    classes: dict[str, list[str]] = json.loads(folder.environment.read_text("utf-8"))["data"][
        "classes"
    ]
    return classes
