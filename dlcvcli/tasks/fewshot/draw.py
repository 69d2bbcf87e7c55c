"""`dlcv data episodes`: a fixed list of few-shot episodes; needs no torch."""

from __future__ import annotations

import json
from pathlib import Path

from dlcvcli.data.episode_file import drawn_episodes, episodes_csv
from dlcvcli.data.episodes import Shape, require_enough
from dlcvcli.data.few_shot_split import open_few_shot
from dlcvcli.errors import UsageError
from dlcvcli.files import write_atomically
from dlcvcli.reporter import Reporter
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.fewshot.card import EncoderCard
from dlcvcli.tasks.fewshot.flags import DataEpisodesFlags


def write_episodes(flags: DataEpisodesFlags, reporter: Reporter) -> str:
    """Draw episodes and write them as CSV; return a line that describes them.

    Raises:
        UsageError: --run is no few-shot run.
        DataError: the set cannot be used, or is too small.
    """
    # Only names are needed, of a set of any size: no image is read.
    opened = open_few_shot(
        flags.folder,
        flags.split,
        size=(1, 1),
        layout=flags.layout,
        splits=flags.splits or "auto",
        rotations=bool(flags.rotations),
        known={} if flags.run is None else _classes_of(flags.run),
        allow_outside=bool(flags.allow_outside),
    )
    for line in opened.remarks:
        reporter.say(line)
    shape, data = Shape(flags.n_way, flags.k_shot, flags.n_query), opened.data
    require_enough(data.sizes, shape, f"split '{data.split}' of {flags.folder}")
    drawn = drawn_episodes(data, shape, flags.seed, flags.count)
    write_atomically(flags.out, episodes_csv(data, drawn))
    return (
        f"{flags.count} episodes, {shape} with {flags.n_query} queries per class, in {flags.out}; "
        f"sha256 {drawn.sha256}"
    )


def _classes_of(path: Path) -> dict[str, list[str]]:
    """Return split -> the classes that a few-shot run was trained on, chosen by or tested on."""
    run = RunFolder.open(path)
    if run.read_config().get("task") != EncoderCard.TASK or not run.environment.is_file():
        raise UsageError(f"{path} is no few-shot run", "give the folder of a dlcv train fewshot")
    environment = json.loads(run.environment.read_text("utf-8"))
    classes: dict[str, list[str]] = environment["data"]["classes"]
    return classes
