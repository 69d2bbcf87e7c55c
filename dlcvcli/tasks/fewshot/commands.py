"""Commands that only few-shot learning has. Imports the standard library only."""

from __future__ import annotations

from dlcvcli.reporter import Reporter
from dlcvcli.tasks.fewshot.flags import DataEpisodesFlags, FigureEpisodeFlags
from dlcvcli.tasks.spec import Command


def _figure_episode(flags: FigureEpisodeFlags, reporter: Reporter) -> list[str]:
    from dlcvcli.tasks.fewshot.figures import draw_episode

    return [str(draw_episode(flags, reporter))]


def _data_episodes(flags: DataEpisodesFlags, reporter: Reporter) -> list[str]:
    from dlcvcli.tasks.fewshot.draw import write_episodes

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
