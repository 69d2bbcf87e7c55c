"""The export of a segmenter."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import torch

from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.engine.checkpoint import Checkpoint
from dlcvcli.exporting.certify import Case, SetScore
from dlcvcli.exporting.certify_segmenter import compare
from dlcvcli.exporting.graph import trace, without_logits
from dlcvcli.exporting.subject import Subject, VerifyData
from dlcvcli.inference.onnx_predictor import OnnxPredictor
from dlcvcli.inference.predictor import StageClock
from dlcvcli.inference.restore import card_of, load_segmenter
from dlcvcli.inference.torch_predictor import TorchPredictor
from dlcvcli.metrics import SegmentationScore
from dlcvcli.runtime.metadata import IMAGES, LOGITS, MASK, SIZE, SegmenterCard
from dlcvcli.runtime.session import open_session

# How many images are named in which the two differ most.
_LISTED = 10


class SegmenterSubject(Subject):
    """A segmenter that is exported; see `Subject`.

    Args:
        checkpoint: read.
        sha256: of its file.
        versions: of what exports it.
        with_logits: give the logits out as a second output.

    Raises:
        CheckpointError: its weights do not fit the network of its settings.
    """

    card: SegmenterCard

    def __init__(
        self, checkpoint: Checkpoint, sha256: str, versions: dict[str, str], *, with_logits: bool
    ) -> None:
        self.segmenter = load_segmenter(checkpoint)
        card = card_of(checkpoint, sha256)
        self.card = replace(card, versions={**card.versions, **versions})
        self.inputs = (IMAGES, SIZE)
        self.outputs = (MASK, LOGITS) if with_logits else (MASK,)

    def trace(self, opset: int) -> Any:
        """See `Subject.trace`."""
        return trace(self.segmenter, self.card, opset)

    def given_out(self, traced: Any) -> Any:
        """See `Subject.given_out`."""
        return traced if LOGITS in self.outputs else without_logits(traced)

    def compare(self, content: bytes, traced: bytes) -> tuple[Case, ...]:
        """See `Subject.compare`."""
        return compare(self.segmenter, content, traced, _own_size(self.card))

    def amount(self, data: VerifyData) -> str:
        """See `Subject.amount`."""
        return f"{len(data)} images"

    def score(self, content: bytes, data: VerifyData) -> SetScore:
        """See `Subject.score`; notes where the two differ."""
        assert isinstance(data, SegmentationSet)
        predictors = (
            TorchPredictor(self.segmenter, self.card, torch.device("cpu")),
            OnnxPredictor(open_session(content, "cpu"), self.card),
        )
        scores = [SegmentationScore(data.classes) for _ in predictors]
        differing: dict[str, float] = {}
        with closing(EvalBatches(data, 4).read()) as source:
            for batch in source:
                size = batch.masks.shape[1], batch.masks.shape[2]
                masks = [predictor(batch.images, size, StageClock()) for predictor in predictors]
                for score, found in zip(scores, masks, strict=True):
                    score.update(batch.masks, found)
                shares = (masks[0] != masks[1]).mean(axis=(1, 2))
                differing |= dict(zip(batch.names, shares.tolist(), strict=True))
        before, after = (score.compute()["miou"] for score in scores)
        worst = sorted((name for name in differing if differing[name]), key=lambda n: -differing[n])
        listed = [{"image": name, "share": differing[name]} for name in worst[:_LISTED]]
        facts = {"images": len(data), "split": data.split, "differ_most": listed}
        return SetScore("mIoU", self.amount(data), before, after, facts)


def _own_size(card: SegmenterCard) -> tuple[int, int] | None:
    if card.size is not None:
        return card.size
    crop = card.config["data"].get("crop")
    return None if crop is None else (crop[0], crop[1])
