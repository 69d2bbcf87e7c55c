"""What a segmenter's certificate compares: logits and masks, at several sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlcvcli.exporting.certify import (
    AGREEMENT,
    TOLERANCE,
    Case,
    finite,
    made_images,
    relative_error,
    widest_gap,
)
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.runtime.metadata import IMAGES, LOGITS, MASK, SIZE
from dlcvcli.runtime.session import open_session

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
        """See `Case.passed`."""
        return (
            self.logits_error <= TOLERANCE
            and self.agreement >= AGREEMENT
            and self.widest_gap <= NEAR_TIE
        )

    def describe(self) -> str:
        """See `Case.describe`."""
        return (
            f"images {list(self.images)} -> mask {list(self.size)}: logits differ by "
            f"{self.logits_error:.2g} of the largest (at most {TOLERANCE:g}), "
            f"{self.agreement:.6f} of the pixels agree (at least {AGREEMENT}), "
            f"widest gap of a differing pixel {self.widest_gap:.2g} (at most {NEAR_TIE:g})"
        )

    @staticmethod
    def tolerances() -> dict[str, float]:
        """See `Case.tolerances`."""
        return {"logits_error": TOLERANCE, "argmax_agreement": AGREEMENT, "near_tie": NEAR_TIE}

    @staticmethod
    def summary(cases: Sequence[SegmenterCase]) -> dict[str, Any]:
        """See `Case.summary`."""
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
