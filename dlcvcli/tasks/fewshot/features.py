"""The embeddings that an encoder computes of a labelled set. Needs no torch."""

from __future__ import annotations

import numpy as np

from dlcvcli.data.reading import Pixels
from dlcvcli.inference.features import FeatureRequest, Features
from dlcvcli.prototypes import Floats
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.fewshot.episodes import embed_images
from dlcvcli.tasks.fewshot.evaluate import open_test_split
from dlcvcli.tasks.fewshot.flags import EpisodeFlags
from dlcvcli.tasks.fewshot.load import load_encoder


def features_of(request: FeatureRequest, reporter: Reporter) -> Features:
    """Return the embeddings of a split's images; see `TaskSpec.features`."""
    predictor = load_encoder(request.ref, provider=request.provider)
    card = predictor.card
    # Rotated images would be classes of their own, four times as many.
    flags = EpisodeFlags(rotations=False)
    opened = open_test_split(card, request.data, request.split, flags, reporter)
    data = opened.data

    def embed(images: Pixels) -> Floats:
        return predictor(images, StageClock())

    with reporter.counting("computing embeddings") as progress:
        values = embed_images(embed, data, np.arange(len(data)), progress=progress)
    assert values is not None
    names = [data.class_of(index) for index in range(len(data))]
    classes = tuple(dict.fromkeys(names))
    places = {name: place for place, name in enumerate(classes)}
    labels = np.array([places[name] for name in names], np.int64)
    return Features(
        values,
        labels,
        classes,
        tuple(map(data.name_of, range(len(data)))),
        f"{card.model} on {data.root.name} ({data.split})",
        "cosine" if card.distance["name"] == "cosine" else "euclidean",
    )
