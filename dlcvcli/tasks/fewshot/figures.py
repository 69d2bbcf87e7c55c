"""The figures of `dlcv figure` that only few-shot learning has."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcvcli.data.episodes import EpisodeList
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.errors import UsageError
from dlcvcli.figures.episode import EpisodePicture, episode_figure
from dlcvcli.figures.style import save
from dlcvcli.prototypes import read_distance
from dlcvcli.reporter import Reporter
from dlcvcli.runs import find_model
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.fewshot.episodes import predict_episodes
from dlcvcli.tasks.fewshot.evaluate import chosen_episodes, open_test_split
from dlcvcli.tasks.fewshot.flags import FigureEpisodeFlags
from dlcvcli.tasks.fewshot.load import load_encoder
from dlcvcli.tasks.fewshot.predictor import EncoderPredictor


def draw_episode(flags: FigureEpisodeFlags, reporter: Reporter) -> Path:
    """Draw one episode with the predictions of a model; return the file.

    Raises:
        UsageError: there is no episode of that number.
        DataError: the set or the file of episodes cannot be used.
    """
    predictor = load_encoder(find_model(flags.model), provider=flags.provider)
    opened = open_test_split(predictor.card, flags.data, flags.split, flags, reporter)
    wanted = str(max(2, flags.number + 1)) if flags.episodes is None else str(flags.episodes)
    drawn = chosen_episodes(opened, predictor.card, flags, wanted)
    if flags.number >= len(drawn):
        raise UsageError(
            f"--episode {flags.number}: {wanted} has {len(drawn)} episodes, numbered from 0"
        )
    save(episode_figure(picture_of(predictor, opened.data, drawn, flags.number)), flags.out)
    return flags.out


def picture_of(
    predictor: EncoderPredictor, data: FewShotSet, drawn: EpisodeList, number: int
) -> EpisodePicture:
    """Return an episode of a set with the predictions of a model.

    Args:
        predictor: the model.
        data: the images.
        drawn: the episodes.
        number: the place of the episode among them.
    """
    card = predictor.card
    support, query = drawn.support[number], drawn.query[number]
    places = np.concatenate([support.ravel(), query])
    images = data.images(places)
    embeddings = predictor(images, StageClock())
    order = np.arange(len(places))
    predictions = predict_episodes(
        embeddings,
        order[: support.size].reshape(1, *support.shape),
        order[None, support.size :],
        read_distance(card.distance),
    )[0]
    return EpisodePicture(
        title=f"{card.model}, {card.distance['name']}, {drawn.shape}, episode {drawn.ids[number]}",
        names=tuple(data.class_of(int(row[0])) for row in support),
        support=images[: support.size].reshape(*support.shape, *images.shape[1:]),
        query=images[support.size :],
        answers=drawn.answers[number],
        predictions=predictions,
        support_points=embeddings[: support.size].reshape(*support.shape, -1),
        query_points=embeddings[support.size :],
        on_sphere=card.distance["name"] == "cosine",
    )
