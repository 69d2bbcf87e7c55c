"""Export of a segmentation model: what is traced, compared with PyTorch and scored."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.exporting.certify import LogitsCase, SetScore, compare_logits, synthetic_images
from dlcvcli.exporting.subject import Graph, Subject
from dlcvcli.metrics import SegmentationScore
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.metadata import IMAGES, LOGITS
from dlcvcli.runtime.session import open_session
from dlcvcli.tasks.segmentation.annotated import open_annotated, warn_of_seen
from dlcvcli.tasks.segmentation.card import MASK, SIZE, SegmenterCard
from dlcvcli.tasks.segmentation.flags import ExportSegFlags
from dlcvcli.tasks.segmentation.graph import trace
from dlcvcli.tasks.segmentation.predictor import OnnxPredictor
from dlcvcli.tasks.segmentation.scores import SCORES
from dlcvcli.tasks.segmentation.torch import TorchPredictor, card_of, load_segmenter
from dlcvcli.tasks.spec import SubjectRequest

# The most images that are listed among those on which the two backends differ most.
_LISTED = 10


class SegmentationSubject(Subject):
    """A segmentation model that is exported.

    Args:
        request: the checkpoint, and whether the logits are returned as a second output.

    Raises:
        CheckpointError: its weights do not fit the network of its settings.
    """

    card: SegmenterCard

    def __init__(self, request: SubjectRequest) -> None:
        flags: ExportSegFlags = request.flags
        self.source = str(request.path)
        self.segmenter = load_segmenter(request.checkpoint)
        self.card = card_of(request.checkpoint, request.sha256)
        outputs = (MASK, LOGITS) if flags.logits else (MASK,)
        self.graphs = (Graph((IMAGES, SIZE), outputs, self._trace, self._compare),)

    def facts(self) -> list[tuple[str, str]]:
        return [("model", f"{self.card.model}, {len(self.card.classes)} classes")]

    def open_data(self, folder: Path, split: str, reporter: Reporter) -> SegmentationSet:
        data = open_annotated(self.card, folder, split, reporter, size=self.card.size)
        warn_of_seen({self.source: self.card}, data, reporter)
        return data

    def amount(self, data: Any) -> str:
        return f"{len(data)} images"

    def score(self, files: Sequence[Path], data: Any) -> SetScore:
        assert isinstance(data, SegmentationSet)
        (file,) = files
        predictors = (
            TorchPredictor(self.segmenter, self.card, torch.device("cpu")),
            OnnxPredictor(open_session(file, "cpu"), self.card),
        )
        scores = [SegmentationScore(data.classes) for _ in predictors]
        differing: dict[str, float] = {}
        with closing(EvalBatches(data, 4).read()) as source:
            for batch in source:
                size = batch.masks.shape[1], batch.masks.shape[2]
                masks = [predictor(batch.images, size, StageClock()) for predictor in predictors]
                for score, mask in zip(scores, masks, strict=True):
                    score.update(batch.masks, mask)
                fractions = (masks[0] != masks[1]).mean(axis=(1, 2))
                differing |= dict(zip(batch.names, fractions.tolist(), strict=True))
        before, after = (score.compute()["miou"] for score in scores)
        worst = sorted((name for name in differing if differing[name]), key=lambda n: -differing[n])
        listed = [{"image": name, "share": differing[name]} for name in worst[:_LISTED]]
        details = {"images": len(data), "split": data.split, "differ_most": listed}
        largest = [f"{one['image']} {one['share']:.2%}" for one in listed[:3]]
        facts = [("differ most", ", ".join(largest) or "no pixel of any image differs")]
        return SetScore(SCORES[0], self.amount(data), before, after, details, facts)

    def _trace(self, opset: int) -> Any:
        return trace(self.segmenter, self.card, opset)

    def _compare(self, file: Path, traced: Path) -> list[LogitsCase]:
        return compare(self.segmenter, file, traced, self.card.usual_size)


def parity_shapes(
    stride: int, own: tuple[int, int] | None
) -> list[tuple[tuple[int, int, int], tuple[int, int]]]:
    """Return the ([N, H, W], mask size) pairs to compare at.

    Two batch sizes and three input sizes: a multiple of the stride, an odd one whose mask has
    another size, and one that is not square.

    Args:
        stride: of the network.
        own: the size that the model is meant for; at most 256 of each side is used.
    """
    height, width = own or (128, 128)
    base = max(stride, min(height, 256) // stride * stride)
    wide = max(stride, min(width, 256) // stride * stride)
    return [
        ((1, base, wide), (base, wide)),
        ((2, 97, 131), (120, 93)),
        ((2, 2 * stride + 32, 4 * stride + 32), (2 * stride + 32, 4 * stride + 32)),
    ]


def compare(
    segmenter: Segmenter, file: Path, traced: Path, own: tuple[int, int] | None
) -> list[LogitsCase]:
    """Compare PyTorch and ONNX Runtime on synthetic images, both on the CPU in float32.

    Args:
        segmenter: the trained segmenter, on the CPU.
        file: the exported model; its masks are compared.
        traced: the same graph with its logits as an output, which are compared.
        own: see `parity_shapes`.
    """
    masks = open_session(file, "cpu").session
    outputs = masks if traced == file else open_session(traced, "cpu").session
    cases = []
    for seed, (shape, size) in enumerate(parity_shapes(segmenter.stride, own)):
        images = synthetic_images(np.random.default_rng(seed), shape)
        feed = {IMAGES: images, SIZE: np.asarray(size, dtype=np.int64)}
        (mask,) = masks.run([MASK], feed)
        (logits,) = outputs.run([LOGITS], feed)
        with torch.inference_mode():
            reference = segmenter.logits(torch.from_numpy(images), *size).numpy()
        inputs = {"images": list(shape), "size": list(size)}
        cases.append(compare_logits(inputs, reference, logits, noun="pixels", predicted=mask))
    return cases
