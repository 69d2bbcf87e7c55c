"""The export of a segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlcvcli.data.batches import EvalBatches
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.exporting.certify import (
    AGREEMENT,
    TOLERANCE,
    Case,
    SetScore,
    finite,
    made_images,
    relative_error,
    widest_gap,
)
from dlcvcli.exporting.subject import Subject
from dlcvcli.metrics import SegmentationScore
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.metadata import IMAGES, LOGITS
from dlcvcli.runtime.session import open_session
from dlcvcli.tasks.segmentation.annotated import open_annotated, warn_of_seen
from dlcvcli.tasks.segmentation.card import MASK, SIZE, SegmenterCard
from dlcvcli.tasks.segmentation.flags import ExportSegFlags
from dlcvcli.tasks.segmentation.graph import trace, without_logits
from dlcvcli.tasks.segmentation.predictor import OnnxPredictor
from dlcvcli.tasks.segmentation.torch import TorchPredictor, card_of, load_segmenter
from dlcvcli.tasks.spec import SubjectRequest

# How many images are named in which the two differ most.
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
        self.inputs = (IMAGES, SIZE)
        self.outputs = (MASK, LOGITS) if flags.logits else (MASK,)

    def facts(self) -> list[tuple[str, str]]:
        return [("model", f"{self.card.model}, {len(self.card.classes)} classes")]

    def open_data(self, folder: Path, split: str, reporter: Reporter) -> SegmentationSet:
        data = open_annotated(self.card, folder, split, reporter, size=self.card.size)
        warn_of_seen({self.source: self.card}, data, reporter)
        return data

    def trace(self, opset: int) -> Any:
        return trace(self.segmenter, self.card, opset)

    def final(self, traced: Any) -> Any:
        return traced if LOGITS in self.outputs else without_logits(traced)

    def compare(self, content: bytes, traced: bytes) -> tuple[Case, ...]:
        return compare(self.segmenter, content, traced, self.card.usual_size)

    def amount(self, data: Any) -> str:
        return f"{len(data)} images"

    def score(self, content: bytes, data: Any) -> SetScore:
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
        largest = [f"{one['image']} {one['share']:.2%}" for one in listed[:3]]
        lines = [("differ most", ", ".join(largest) or "no pixel of any image differs")]
        return SetScore("mIoU", self.amount(data), before, after, facts, lines)


# Gap between the two best logits of a pixel that differs, as a share of the range of all logits.
NEAR_TIE = 1e-3


@dataclass(frozen=True)
class SegmenterCase(Case):
    """One comparison of the logits and masks of PyTorch and ONNX Runtime.

    Attributes:
        images: [N, H, W] of the input.
        size: (height, width) of the mask.
        logits_error: largest absolute difference / largest absolute logit of PyTorch; infinite
            where a logit is not finite.
        agreement: share of pixels with the same class.
        differing: number of pixels that differ.
        widest_gap: among those, the largest gap between PyTorch's two best logits, as a share of
            the range of its logits; 0 where none differ.
    """

    images: tuple[int, int, int]
    size: tuple[int, int]
    logits_error: float
    agreement: float
    differing: int
    widest_gap: float

    @property
    def passed(self) -> bool:
        return (
            self.logits_error <= TOLERANCE
            and self.agreement >= AGREEMENT
            and self.widest_gap <= NEAR_TIE
        )

    def describe(self) -> str:
        return (
            f"images {list(self.images)} -> mask {list(self.size)}: logits differ by "
            f"{self.logits_error:.2g} of the largest (at most {TOLERANCE:g}), "
            f"{self.agreement:.6f} of the pixels agree (at least {AGREEMENT}), "
            f"widest gap of a differing pixel {self.widest_gap:.2g} (at most {NEAR_TIE:g})"
        )

    @staticmethod
    def tolerances() -> dict[str, float]:
        return {"logits_error": TOLERANCE, "argmax_agreement": AGREEMENT, "near_tie": NEAR_TIE}

    @staticmethod
    def summary(cases: Sequence[SegmenterCase]) -> dict[str, Any]:
        return {
            "max_logits_error": finite(max(case.logits_error for case in cases)),
            "min_agreement": min(case.agreement for case in cases),
            "differing_pixels": sum(case.differing for case in cases),
        }


def parity_shapes(
    stride: int, own: tuple[int, int] | None
) -> list[tuple[tuple[int, int, int], tuple[int, int]]]:
    """Return the ([N, H, W], mask size) pairs to compare at.

    Two batch sizes and three input sizes: a multiple of the stride, an odd one whose mask is of
    another size, and one that is not square.

    Args:
        stride: of the network.
        own: a size that the model is meant for; at most 256 of each side is used.
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
    segmenter: Segmenter, final: bytes, with_logits: bytes, own: tuple[int, int] | None
) -> tuple[SegmenterCase, ...]:
    """Run PyTorch and ONNX Runtime on the same made images, both on the CPU in float32.

    Args:
        segmenter: the trained segmenter, on the CPU.
        final: the model as users get it; its masks are compared.
        with_logits: the same graph that gives its logits out as well.
        own: see `parity_shapes`.
    """
    session = open_session(final, "cpu").session
    open_heart = open_session(with_logits, "cpu").session
    cases = []
    for seed, (shape, size) in enumerate(parity_shapes(segmenter.stride, own)):
        images = made_images(np.random.default_rng(seed), shape)
        feed = {IMAGES: images, SIZE: np.asarray(size, dtype=np.int64)}
        (mask,) = session.run([MASK], feed)
        (logits,) = open_heart.run([LOGITS], feed)
        with torch.inference_mode():
            reference = segmenter.logits(torch.from_numpy(images), *size).numpy()
        cases.append(compare_case(shape, size, reference, logits, mask))
    return tuple(cases)


def compare_case(
    shape: tuple[int, int, int],
    size: tuple[int, int],
    reference: NDArray[np.float32],
    logits: NDArray[np.float32],
    mask: NDArray[np.uint8],
) -> SegmenterCase:
    """Compare logits [N, C, h, w] of two backends, and a mask [N, h, w] with the reference's."""
    differs = reference.argmax(axis=1) != mask
    return SegmenterCase(
        shape,
        size,
        relative_error(reference, logits),
        float(1 - differs.mean()),
        int(differs.sum()),
        widest_gap(reference, differs, float(reference.max() - reference.min())),
    )
