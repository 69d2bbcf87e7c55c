"""`dlcv figure episode`: one few-shot episode, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dlcvcli.cli.fewshot_flags import AllowOutside, KShot, NQuery, NWay, Rotations, Splits
from dlcvcli.cli.figure_file import require_drawing, save_figure
from dlcvcli.cli.flags import Provider
from dlcvcli.errors import UsageError

if TYPE_CHECKING:
    from dlcvcli.data.few_shot_split import OpenedSplit
    from dlcvcli.figures.episode import EpisodePicture
    from dlcvcli.tasks.fewshot.predictor import EncoderPredictor

EPILOG = "dlcv figure episode runs/omniglot --data omniglot --episode 3 --out episode.png"


def episode(
    model: Annotated[
        Path,
        typer.Argument(metavar="MODEL", help="Run folder, .ckpt or .onnx.", show_default=False),
    ],
    data: Annotated[Path, typer.Option(help="Folder of images by class.", show_default=False)],
    split: Annotated[str, typer.Option(help="Split; a set without splits gives all.")] = "val",
    episodes: Annotated[
        Path | None, typer.Option(help="A file of episodes.", show_default="drawn ones")
    ] = None,
    number: Annotated[int, typer.Option("--episode", min=0, help="Which; the first is 0.")] = 0,
    n_way: NWay = None,
    k_shot: KShot = None,
    n_query: NQuery = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    rotations: Rotations = None,
    splits: Splits = None,
    allow_outside: AllowOutside = False,
    provider: Annotated[Provider, typer.Option(help="What runs it.")] = "auto",
    out: Annotated[Path, typer.Option(help="A .png or .pdf file.")] = Path("episode.png"),
) -> None:
    """Draw an episode: support, queries, what they were taken for, and the embeddings in 2-D."""
    from dlcvcli.cli.console import say
    from dlcvcli.cli.evaluate_fewshot import FewshotFlags, chosen_episodes, open_test_split
    from dlcvcli.inference.load import task_of
    from dlcvcli.runs import find_model
    from dlcvcli.tasks.fewshot.predictor import load_encoder

    require_drawing(out)
    ref = find_model(model)
    if task_of(ref) != "fewshot":
        raise UsageError(f"{model} is no few-shot model", "train one with dlcv train fewshot")
    predictor = load_encoder(ref, provider=provider)
    opened = open_test_split(
        predictor.card,
        data,
        split,
        splits=splits,
        rotations=rotations,
        allow_outside=allow_outside,
    )
    for line in opened.remarks:
        say(line)
    wanted = str(max(2, number + 1)) if episodes is None else str(episodes)
    typed = episodes is None or (n_way, k_shot, n_query, seed) != (None, None, None, 0)
    flags = FewshotFlags(
        wanted, n_way, k_shot, n_query, seed if typed else None, rotations, splits, None, None
    )
    drawn = chosen_episodes(opened, predictor.card, flags)
    if number >= len(drawn):
        raise UsageError(f"--episode {number}: {wanted} has {len(drawn)}, from 0 on")
    from dlcvcli.figures.episode import episode_figure

    save_figure(episode_figure(_picture(predictor, opened, drawn, number)), out)


def _picture(
    predictor: EncoderPredictor, opened: OpenedSplit, drawn: Any, number: int
) -> EpisodePicture:
    import numpy as np

    from dlcvcli.figures.episode import EpisodePicture
    from dlcvcli.prototypes import read_distance
    from dlcvcli.runtime.clock import StageClock
    from dlcvcli.tasks.fewshot.episodes import predict_episodes

    data, card = opened.data, predictor.card
    support, query = drawn.support[number], drawn.query[number]
    places = np.concatenate([support.ravel(), query])
    images = data.images(places)
    features = predictor(images, StageClock())
    shown, asked = features[: support.size], features[support.size :]
    order = np.arange(len(places))
    predictions = predict_episodes(
        features,
        order[: support.size].reshape(1, *support.shape),
        order[None, support.size :],
        read_distance(card.distance),
    )[0]
    shape = drawn.shape
    return EpisodePicture(
        title=f"{card.model}, {card.distance['name']}, {shape}, episode {drawn.ids[number]}",
        names=tuple(data.class_of(int(row[0])) for row in support),
        support=images[: support.size].reshape(*support.shape, *images.shape[1:]),
        query=images[support.size :],
        answers=drawn.answers[number],
        predictions=predictions,
        support_points=shown.reshape(*support.shape, -1),
        query_points=asked,
        on_sphere=card.distance["name"] == "cosine",
    )
