"""Commands that only few-shot learning has. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dlcvcli.config.names import Provider
from dlcvcli.flags import Flags, argument, flag
from dlcvcli.reporter import Reporter
from dlcvcli.tasks.fewshot.flags import ALLOW_OUTSIDE, SPLITS, EpisodeFlags
from dlcvcli.tasks.spec import Command


@dataclass(frozen=True, kw_only=True)
class FigureEpisodeFlags(EpisodeFlags):
    """Flags of `dlcv figure episode`."""

    model: Path = argument("Run folder, .ckpt or .onnx.", metavar="MODEL")
    data: Path = flag("Folder of images by class.", required=True)
    split: str = flag(
        "Split; of a set without splits, val is what was held out.", value="val", default="val"
    )
    episodes: Path | None = flag("A file of episodes.", default="drawn ones")
    number: int = flag(
        "Number of the episode; the first is 0.", "--episode", value=0, default="0", least=0
    )
    provider: Provider = flag("Execution provider.", value="auto", default="auto")
    out: Path = flag("A .png or .pdf file.", value=Path("episode.png"), default="episode.png")


@dataclass(frozen=True, kw_only=True)
class DataEpisodesFlags(Flags):
    """Flags of `dlcv data episodes`."""

    folder: Path = argument("Folder of images by class.", metavar="DIR")
    out: Path = flag("The CSV file to write.", required=True)
    split: str | None = flag("Split to draw from.", default="test, else val, else all")
    splits: str | None = flag(SPLITS, default="as the folder says")
    run: Path | None = flag("A run whose held-out classes are a split.", metavar="RUN")
    n_way: int = flag("Classes of an episode.", value=5, default="5", least=2)
    k_shot: int = flag("Support images of each class.", value=1, default="1", least=1)
    n_query: int = flag("Query images of each class.", value=15, default="15", least=1)
    count: int = flag("Number of episodes.", "--episodes", value=600, default="600", least=1)
    seed: int = flag("Seed of the drawn episodes.", value=0, default="0", least=0)
    layout: str = flag("How the folder is laid out.", value="auto", default="auto")
    rotations: bool | None = flag("Add rotated images as classes of their own.", "--rotations")
    allow_outside: bool | None = flag(ALLOW_OUTSIDE)


def _figure_episode(flags: FigureEpisodeFlags, reporter: Reporter) -> list[str]:
    from dlcvcli.tasks.fewshot.figures import draw_episode

    return [str(draw_episode(flags, reporter))]


def _data_episodes(flags: DataEpisodesFlags, reporter: Reporter) -> list[str]:
    from dlcvcli.tasks.fewshot.drawing import write_episodes

    return [write_episodes(flags, reporter)]


COMMANDS = (
    Command(
        "figure",
        "episode",
        "Draw an episode: support and query images, predictions, and the embeddings in 2-D.",
        ("dlcv figure episode runs/omniglot --data omniglot --episode 3 --out episode.png",),
        FigureEpisodeFlags,
        _figure_episode,
    ),
    Command(
        "data",
        "episodes",
        "Draw few-shot episodes and save them, so that every model is tested on the same.",
        (
            "dlcv data episodes omniglot --n-way 5 --k-shot 1 --n-query 15 --episodes 600 "
            "--seed 0 --out test.csv",
        ),
        DataEpisodesFlags,
        _data_episodes,
    ),
)
