"""`dlcv data episodes`: a fixed list of few-shot episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = (
    "dlcv data episodes omniglot --n-way 5 --k-shot 1 --n-query 15 --episodes 600 --seed 0 "
    "--out test.csv"
)


def episodes(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Images by class.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="The CSV file.", show_default=False)],
    split: Annotated[str, typer.Option(help="Split; a set without splits gives all.")] = "test",
    n_way: Annotated[int, typer.Option("--n-way", min=2, help="Classes of an episode.")] = 5,
    k_shot: Annotated[int, typer.Option("--k-shot", min=1, help="Examples of each.")] = 1,
    n_query: Annotated[int, typer.Option("--n-query", min=1, help="Queries of each.")] = 15,
    count: Annotated[int, typer.Option("--episodes", min=1, help="How many.")] = 600,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    layout: Annotated[str, typer.Option(help="How the folder is laid out.")] = "auto",
    rotations: Annotated[
        bool, typer.Option("--rotations", help="Turned images as classes of their own.")
    ] = False,
) -> None:
    """Draw few-shot episodes and write them down, so that every model is tested on the same."""
    from dlcvcli.cli.console import say, stdout
    from dlcvcli.data.episode_file import drawn_episodes, episodes_csv
    from dlcvcli.data.episodes import Shape, require_enough
    from dlcvcli.data.few_shot import FewShotSet
    from dlcvcli.data.image_classes import find_image_layout, image_split
    from dlcvcli.files import write_atomically

    found = find_image_layout(folder, layout)
    say(found.describe())
    shape = Shape(n_way, k_shot, n_query)
    # Nothing is read: of a set of any size the names alone are wanted.
    data = FewShotSet(image_split(found, split), split, found.root, (1, 1), rotations=rotations)
    require_enough(data.sizes, shape, f"split '{split}' of {folder}")
    drawn = drawn_episodes(data, shape, seed, count)
    write_atomically(out, episodes_csv(data, drawn))
    stdout().print(
        f"{count} episodes, {shape}, {n_query} queries of each way, in {out}; "
        f"sha256 {drawn.sha256}",
        markup=False,
        soft_wrap=True,
    )
