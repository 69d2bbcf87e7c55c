"""The certificate: what was checked of an exported file, and how close it is to PyTorch.

What is compared differs by task: see `certify_segmenter` and `certify_embedder`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.reading import Pixels

# Largest absolute difference / largest absolute value of PyTorch.
TOLERANCE = 1e-4
# Share of pixels or queries that get the same class.
AGREEMENT = 0.9999
# How far a metric over a whole set may fall: 0.01 points.
METRIC_FALL = 1e-4

_TRAINING_OPS = frozenset({"Dropout"})


@dataclass(frozen=True)
class Case(ABC):
    """One comparison of PyTorch and ONNX Runtime on made images."""

    @property
    @abstractmethod
    def passed(self) -> bool:
        """Whether the case is within the tolerances of fp32."""

    @abstractmethod
    def describe(self) -> str:
        """Return the case's figures and what is asked of them, in one line."""

    @staticmethod
    @abstractmethod
    def tolerances() -> dict[str, float]:
        """Return what is asked of every case of this kind."""

    @staticmethod
    @abstractmethod
    def summary(cases: Sequence[Any]) -> dict[str, Any]:
        """Return the worst figures of cases of this kind, at least one."""

    @classmethod
    def facts(cls, cases: Sequence[Any]) -> list[tuple[str, str]]:
        """Return the worst figures of cases of this kind, as names and values for people."""
        worst = cls.summary(cases)
        if "max_embedding_error" in worst:
            error = worst["max_embedding_error"]
            return [("largest embedding error", f"{error:.1e} of the largest")]
        compared = "queries" if "differing_queries" in worst else "pixels"
        agreement = f"{worst['min_agreement']:.6f} at least"
        if worst.get("differing_queries"):
            agreement += "; the others nearly tie"
        return [
            ("largest logit error", f"{worst['max_logits_error']:.1e} of the largest"),
            (f"{compared} that agree", agreement),
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for `certificate.json`."""
        figures = {k: finite(v) if isinstance(v, float) else v for k, v in asdict(self).items()}
        return {**figures, "passed": self.passed}


@dataclass(frozen=True)
class SetScore:
    """Both backends, scored on a whole set.

    Attributes:
        metric: what users call it.
        over: what it was scored on.
        torch, onnx: of either, in [0, 1]; None where the set leaves it undefined.
        facts: what else the certificate says of it.
        lines: what else users want to know of it, as names and values.
    """

    metric: str
    over: str
    torch: float | None
    onnx: float | None
    facts: dict[str, Any] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the file scores no worse than PyTorch."""
        return (self.torch or 0.0) - (self.onnx or 0.0) <= METRIC_FALL

    def describe(self) -> str:
        """Return both figures in one line."""
        return f"{self.metric} over {self.over}: torch {self.torch}, onnx {self.onnx}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for `certificate.json`."""
        key = self.metric.lower()
        both = {f"torch_{key}": self.torch, f"onnx_{key}": self.onnx}
        return {**self.facts, **both, "passed": self.passed}


@dataclass(frozen=True)
class Certificate:
    """What an export proved.

    Attributes:
        structure: check -> None where it passed, else the reason.
        cases: the comparisons of made images, all of one kind.
        dataset: both scores over a whole set, where one was given.
    """

    structure: dict[str, str | None]
    cases: tuple[Case, ...]
    dataset: SetScore | None = None

    @property
    def failures(self) -> list[str]:
        """One line for each check that did not hold."""
        lines = [f"{name}: {reason}" for name, reason in self.structure.items() if reason]
        lines += [case.describe() for case in self.cases if not case.passed]
        if self.dataset is not None and not self.dataset.passed:
            lines.append(self.dataset.describe())
        return lines

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return not self.failures

    def facts(self) -> list[tuple[str, str]]:
        """Return the worst figures of the cases, as names and values."""
        return type(self.cases[0]).facts(self.cases)

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for `certificate.json`."""
        kind = type(self.cases[0])
        return {
            "passed": self.passed,
            "precision": "fp32",
            "tolerances": kind.tolerances(),
            "structure": {
                name: {"passed": reason is None, "reason": reason}
                for name, reason in self.structure.items()
            },
            "parity": {
                **kind.summary(self.cases),
                "cases": [case.as_dict() for case in self.cases],
            },
            "dataset": None if self.dataset is None else self.dataset.as_dict(),
            "failures": self.failures,
        }


def finite(value: float) -> float | None:
    """Return what JSON can say of a number."""
    return value if math.isfinite(value) else None


def check_structure(
    model: Any, inputs: Sequence[str], outputs: Sequence[str]
) -> dict[str, str | None]:
    """Check an ONNX model's form: the full checker, no training-mode node, the contract's faces.

    Args:
        model: an `onnx.ModelProto`.
        inputs, outputs: the names that it should have, in their order.
    """
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
    good = faces == (list(inputs), list(outputs))
    found["inputs_and_outputs"] = None if good else f"found {faces}"
    return found


def _trains(node: Any) -> bool:
    if node.op_type in _TRAINING_OPS:
        return True
    return any(item.name == "training_mode" and item.i for item in node.attribute)


def relative_error(reference: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    """Return the largest absolute difference / the largest absolute value of the reference.

    Infinite where a value of either is not finite.
    """
    if not (np.isfinite(reference).all() and np.isfinite(found).all()):
        return math.inf
    return float(np.abs(reference - found).max()) / max(float(np.abs(reference).max()), 1e-30)


def widest_gap(reference: NDArray[np.float32], differs: NDArray[np.bool_], unit: float) -> float:
    """Return the largest gap between the two best logits where two backends chose differently.

    Args:
        reference: logits, with the classes along axis 1.
        differs: where they did; the shape of the logits without axis 1.
        unit: what the gap is told as a share of.

    Returns:
        0 where none differ; infinite where logits are not finite.
    """
    if not differs.any() or reference.shape[1] < 2:
        return 0.0
    top = np.partition(reference, -2, axis=1)[:, -2:]
    gap = float((top[:, 1] - top[:, 0])[differs].max()) / max(unit, 1e-30)
    return gap if math.isfinite(gap) else math.inf


def made_images(rng: np.random.Generator, shape: tuple[int, int, int]) -> Pixels:
    """Return seeded images with areas, edges and grain, more like photographs than noise is.

    Args:
        rng: of the images.
        shape: (N, H, W); the images are uint8 [N, H, W, 3].
    """
    count, height, width = shape
    coarse = rng.integers(0, 256, (count, height // 16 + 2, width // 16 + 2, 3))
    areas = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    grain = rng.normal(0, 20, (count, height, width, 3))
    return np.asarray(np.clip(areas + grain, 0, 255), dtype=np.uint8)
