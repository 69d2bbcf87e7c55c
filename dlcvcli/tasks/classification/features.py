"""The features that a classifier computes of a labelled set. Needs no torch."""

from __future__ import annotations

from contextlib import closing

import numpy as np

from dlcvcli.inference.features import FeatureRequest, Features
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.classification.labelled import open_labelled
from dlcvcli.tasks.classification.load import load_predictor

_BATCH = 16


def features_of(request: FeatureRequest, reporter: Reporter) -> Features:
    """Return the features of a split's images; see `TaskSpec.features`."""
    predictor = load_predictor(request.ref, provider=request.provider)
    data = open_labelled(predictor.card, request.data, request.split, reporter)
    values = np.empty((len(data), predictor.card.dimension), np.float32)
    done = 0
    with (
        reporter.counting("computing features") as progress,
        closing(data.batches(_BATCH)) as batches,
    ):
        for batch in batches:
            values[batch.indices] = predictor.features(batch.images, StageClock())
            done += len(batch.indices)
            progress(done, len(data))
    names = tuple(data.name_of(index) for index in range(len(data)))
    title = f"{predictor.card.model} ({data.split})"
    return Features(values, data.labels, data.classes, names, title)
