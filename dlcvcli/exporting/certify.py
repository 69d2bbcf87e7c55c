"""The certificate: what was checked of an exported file, and how close it is to PyTorch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlcvcli.data.reading import Pixels
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.runtime.metadata import IMAGES, LOGITS, MASK, SIZE
from dlcvcli.runtime.session import open_session

LOGITS_TOLERANCE = 1e-4
AGREEMENT = 0.9999
NEAR_TIE = 1e-3

_TRAINING_OPS = frozenset({"Dropout"})


@dataclass(frozen=True)
class Case:
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
        """Whether the case is within the tolerances of fp32."""
        return (
            self.logits_error <= LOGITS_TOLERANCE
            and self.agreement >= AGREEMENT
            and self.widest_gap <= NEAR_TIE
        )

    def describe(self) -> str:
        """Return the case's figures and what is asked of them, in one line."""
        return (
            f"images {list(self.images)} -> mask {list(self.size)}: logits differ by "
            f"{self.logits_error:.2g} of the largest (at most {LOGITS_TOLERANCE:g}), "
            f"{self.agreement:.6f} of the pixels agree (at least {AGREEMENT}), "
            f"widest gap of a differing pixel {self.widest_gap:.2g} (at most {NEAR_TIE:g})"
        )


@dataclass(frozen=True)
class Certificate:
    """What an export proved.

    Attributes:
        structure: check -> None where it passed, else the reason.
        cases: the comparisons of random images.
        dataset: both metrics over a whole set, where one was given.
    """

    structure: dict[str, str | None]
    cases: tuple[Case, ...]
    dataset: dict[str, Any] | None = None

    @property
    def failures(self) -> list[str]:
        """One line for each check that did not hold."""
        lines = [f"{name}: {reason}" for name, reason in self.structure.items() if reason]
        lines += [case.describe() for case in self.cases if not case.passed]
        if self.dataset is not None and not self.dataset["passed"]:
            lines.append(
                f"mIoU over {self.dataset['images']} images: torch {self.dataset['torch_miou']}, "
                f"onnx {self.dataset['onnx_miou']}"
            )
        return lines

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for `certificate.json`."""
        return {
            "passed": self.passed,
            "precision": "fp32",
            "tolerances": {
                "logits_error": LOGITS_TOLERANCE,
                "argmax_agreement": AGREEMENT,
                "near_tie": NEAR_TIE,
            },
            "structure": {
                name: {"passed": reason is None, "reason": reason}
                for name, reason in self.structure.items()
            },
            "parity": {
                "max_logits_error": _finite(max(case.logits_error for case in self.cases)),
                "min_agreement": min(case.agreement for case in self.cases),
                "differing_pixels": sum(case.differing for case in self.cases),
                "cases": [
                    {
                        **asdict(case),
                        "logits_error": _finite(case.logits_error),
                        "widest_gap": _finite(case.widest_gap),
                        "passed": case.passed,
                    }
                    for case in self.cases
                ],
            },
            "dataset": self.dataset,
            "failures": self.failures,
        }


def _finite(value: float) -> float | None:
    """Return what JSON can say."""
    return value if math.isfinite(value) else None


def check_structure(model: Any) -> dict[str, str | None]:
    """Check an ONNX model's form: the full checker, no training-mode node, the contract's faces."""
    import onnx

    found: dict[str, str | None] = {}
    try:
        onnx.checker.check_model(model, full_check=True)
        found["onnx_checker"] = None
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        found["onnx_checker"] = " ".join(str(error).split())[:200]
    training = [node.op_type for node in model.graph.node if _trains(node)]
    found["no_training_nodes"] = ", ".join(training) or None
    faces = (
        [value.name for value in model.graph.input],
        [value.name for value in model.graph.output],
    )
    expected = ([IMAGES, SIZE], [MASK])
    good = faces[0] == expected[0] and faces[1][:1] == expected[1]
    found["inputs_and_outputs"] = None if good else f"found {faces}"
    return found


def _trains(node: Any) -> bool:
    if node.op_type in _TRAINING_OPS:
        return True
    return any(item.name == "training_mode" and item.i for item in node.attribute)


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
) -> list[Case]:
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
        images = _made_images(np.random.default_rng(seed), shape)
        feed = {IMAGES: images, SIZE: np.asarray(size, dtype=np.int64)}
        (mask,) = session.run([MASK], feed)
        (logits,) = open_heart.run([LOGITS], feed)
        with torch.inference_mode():
            reference = segmenter.logits(torch.from_numpy(images), *size).numpy()
        cases.append(compare_case(shape, size, reference, logits, mask))
    return cases


def compare_case(
    shape: tuple[int, int, int],
    size: tuple[int, int],
    reference: NDArray[np.float32],
    logits: NDArray[np.float32],
    mask: NDArray[np.uint8],
) -> Case:
    """Compare logits [N, C, h, w] of two backends, and a mask [N, h, w] with the reference's."""
    error = math.inf
    if np.isfinite(reference).all() and np.isfinite(logits).all():
        largest = float(np.abs(reference).max())
        error = float(np.abs(reference - logits).max()) / max(largest, 1e-30)
    differs = reference.argmax(axis=1) != mask
    gap = 0.0
    if differs.any() and reference.shape[1] > 1:
        top = np.partition(reference, -2, axis=1)[:, -2:]
        spread = float(reference.max() - reference.min())
        gap = float((top[:, 1] - top[:, 0])[differs].max()) / max(spread, 1e-30)
        gap = gap if math.isfinite(gap) else math.inf
    return Case(shape, size, error, float(1 - differs.mean()), int(differs.sum()), gap)


def _made_images(rng: np.random.Generator, shape: tuple[int, int, int]) -> Pixels:
    """Return seeded images with areas, edges and grain, more like photographs than noise is."""
    count, height, width = shape
    coarse = rng.integers(0, 256, (count, height // 16 + 2, width // 16 + 2, 3))
    areas = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    grain = rng.normal(0, 20, (count, height, width, 3))
    return np.asarray(np.clip(areas + grain, 0, 255), dtype=np.uint8)
