"""`dlcv data episodes`: a fixed list of few-shot episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dlcvcli.cli.fewshot_flags import AllowOutside
from dlcvcli.errors import UsageError

EPILOG = (
    "dlcv data episodes omniglot --n-way 5 --k-shot 1 --n-query 15 --episodes 600 --seed 0 "
    "--out test.csv"
)


def episodes(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Images by class.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The CSV file.", show_default=False)],
    split: Annotated[
        str | None,
        typer.Option(
            help="Split; a set without splits gives all.", show_default="test, else val, else all"
        ),
    ] = None,
    splits: Annotated[
        str | None,
        typer.Option(
            help="Which class is in which split: vinyals, or a CSV with class,split.",
            show_default="as the folder says",
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="A run whose held-out classes are a split.", show_default=False
        ),
    ] = None,
    n_way: Annotated[int, typer.Option("--n-way", min=2, help="Classes of an episode.")] = 5,
    k_shot: Annotated[int, typer.Option("--k-shot", min=1, help="Examples of each.")] = 1,
    n_query: Annotated[int, typer.Option("--n-query", min=1, help="Queries of each.")] = 15,
    count: Annotated[int, typer.Option("--episodes", min=1, help="How many.")] = 600,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    layout: Annotated[str, typer.Option(help="How the folder is laid out.")] = "auto",
    rotations: Annotated[
        bool, typer.Option("--rotations", help="Turned images as classes of their own.")
    ] = False,
    allow_outside: AllowOutside = False,
) -> None:
    """Draw few-shot episodes and write them down, so that every model is tested on the same."""
    from dlcvcli.cli.console import say, stdout
    from dlcvcli.data.episode_file import drawn_episodes, episodes_csv
    from dlcvcli.data.episodes import Shape, require_enough
    from dlcvcli.data.few_shot_split import open_few_shot
    from dlcvcli.files import write_atomically

    known = {} if run is None else _classes_of(run)
    # Nothing is read: of a set of any size the names alone are wanted.
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
        f"{count} episodes, {shape}, {n_query} queries of each way, in {out}; "
        f"sha256 {drawn.sha256}",
        markup=False,
        soft_wrap=True,
    )


def _classes_of(run: Path) -> dict[str, list[str]]:
    """Return the classes that a few-shot run was trained, chosen and may be tested on."""
    import json

    from dlcvcli.runs import RunFolder

    folder = RunFolder.open(run)
    if folder.read_config().get("task") != "fewshot" or not folder.environment.is_file():
        raise UsageError(f"{run} is no few-shot run", "give the folder of a dlcv train fewshot")
    found: dict[str, list[str]] = json.loads(folder.environment.read_text("utf-8"))["data"][
        "classes"
    ]
    return found
