"""Export of a classifier: what is traced, compared with PyTorch and scored."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlcvcli.data.labelled_images import LabelledImages
from dlcvcli.exporting.certify import (
    Case,
    LogitsCase,
    SetScore,
    ValuesCase,
    compare_logits,
    relative_error,
    synthetic_images,
)
from dlcvcli.exporting.subject import Graph, Subject
from dlcvcli.models.classifier import Classifier
from dlcvcli.models.registry import model_entry
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.metadata import IMAGES, LOGITS
from dlcvcli.runtime.session import open_session
from dlcvcli.tasks.classification.card import FEATURES, ClassifierCard
from dlcvcli.tasks.classification.flags import ExportClsFlags
from dlcvcli.tasks.classification.graph import trace
from dlcvcli.tasks.classification.labelled import open_labelled, warn_of_seen
from dlcvcli.tasks.classification.metrics import ClassificationScore
from dlcvcli.tasks.classification.predictor import OnnxPredictor, Predictor
from dlcvcli.tasks.classification.scores import SCORES
from dlcvcli.tasks.classification.torch import TorchPredictor, card_of, load_classifier
from dlcvcli.tasks.spec import SubjectRequest

_BATCH = 16
_BATCHES = (1, 2, 7)
# The most images that are listed among those with different classes.
_LISTED = 10


class ClassifierSubject(Subject):
    """A classifier that is exported.

    Raises:
        CheckpointError: its weights do not fit the network of its settings.
    """

    card: ClassifierCard

    def __init__(self, request: SubjectRequest) -> None:
        self.flags: ExportClsFlags = request.flags
        self.source = str(request.path)
        self.classifier = load_classifier(request.checkpoint)
        self.card = card_of(request.checkpoint, self.classifier, request.sha256)
        self.graphs = (Graph((IMAGES,), (LOGITS, FEATURES), self._trace, self._compare),)

    def facts(self) -> list[tuple[str, str]]:
        card = self.card
        height, width = card.image_size
        return [
            ("model", f"{card.model}, {len(card.classes)} classes, {card.dimension} features"),
            ("images", f"{height}x{width}"),
        ]

    def open_data(self, folder: Path, split: str, reporter: Reporter) -> LabelledImages:
        outside = bool(self.flags.allow_outside)
        data = open_labelled(self.card, folder, split, reporter, allow_outside=outside)
        warn_of_seen({self.source: self.card}, data, reporter)
        return data

    def amount(self, data: Any) -> str:
        return f"{len(data)} images"

    def score(self, files: Sequence[Path], data: Any) -> SetScore:
        assert isinstance(data, LabelledImages)
        (file,) = files
        predictors: tuple[Predictor, ...] = (
            TorchPredictor(self.classifier, self.card, torch.device("cpu")),
            OnnxPredictor(open_session(file, "cpu"), self.card),
        )
        scores = [ClassificationScore(data.classes) for _ in predictors]
        differing: list[str] = []
        with closing(data.batches(_BATCH)) as batches:
            for batch in batches:
                first, second = (
                    score.update(batch.labels, predictor(batch.images, StageClock()))
                    for score, predictor in zip(scores, predictors, strict=True)
                )
                differing += [data.name_of(int(i)) for i in batch.indices[first != second]]
        before, after = (score.compute()["top1"] for score in scores)
        details = {
            "images": len(data),
            "split": data.split,
            "differing": len(differing),
            "differ": differing[:_LISTED],
        }
        facts = [("images with another class", str(len(differing)))]
        return SetScore(SCORES[0], self.amount(data), before, after, details, facts)

    def _trace(self, opset: int) -> Any:
        return trace(self.classifier, self.card, opset)

    def _compare(self, file: Path, traced: Path) -> list[Case]:
        return compare(self.classifier, self.card, file)


def compare(classifier: Classifier, card: ClassifierCard, file: Path) -> list[Case]:
    """Compare logits and features of synthetic images under both backends, on the CPU in float32.

    Args:
        classifier: trained, on the CPU, in evaluation mode.
        card: its card.
        file: the exported model.
    """
    session = open_session(file, "cpu", fixed_shapes=False).session
    least = model_entry(card.model, card.config["model"]["options"]).least_side
    sizes = [card.image_size]
    if classifier.encoder.encoder.any_size:
        # An odd size that is not square, beside the model's own.
        sizes.append((least + 17, least + 40))
    logits_cases: list[LogitsCase] = []
    values_cases: list[ValuesCase] = []
    for seed, (size, count) in enumerate((size, count) for size in sizes for count in _BATCHES):
        images = synthetic_images(np.random.default_rng(seed), (count, *size))
        logits, features = session.run([LOGITS, FEATURES], {IMAGES: images})
        with torch.inference_mode():
            expected = [value.numpy() for value in classifier.outputs(torch.from_numpy(images))]
        inputs = {"images": [count, *size]}
        logits_cases.append(compare_logits(inputs, expected[0], logits, noun="images", few=True))
        values_cases.append(ValuesCase(inputs, FEATURES, relative_error(expected[1], features)))
    return [*logits_cases, *values_cases]
