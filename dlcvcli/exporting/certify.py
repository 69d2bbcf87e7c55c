"""The certificate of an export: what was checked, and how close the file is to PyTorch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.reading import Pixels
from dlcvcli.scores import Score


@dataclass(frozen=True)
class Gates:
    """The limits that an exported file must keep to pass.

    Attributes:
        tolerance: largest error of a value, as a fraction of the largest absolute value.
        agreement: least fraction of predictions with PyTorch's class.
        near_tie: largest gap between PyTorch's two best logits where the class differs, as a
            fraction of the range of its logits.
        near_tie_of_few: the same gap as a fraction of the largest absolute logit, where a case has
            few predictions. Two logits that are each within the tolerance can close twice that.
        score_fall: how far the score on a set may fall, in [0, 1].
    """

    tolerance: float
    agreement: float
    near_tie: float
    near_tie_of_few: float
    score_fall: float


# Number format of a file -> its limits. A score may fall by 0.01 points in float32.
GATES = {"fp32": Gates(1e-4, 0.9999, near_tie=1e-3, near_tie_of_few=2e-4, score_fall=1e-4)}


@dataclass(frozen=True)
class Case(ABC):
    """A comparison of PyTorch and ONNX Runtime on the same synthetic inputs.

    Attributes:
        inputs: the shapes of the inputs, as `certificate.json` has them.
    """

    inputs: dict[str, Any]

    @abstractmethod
    def passes(self, gates: Gates) -> bool:
        """Return whether every figure is within its limit."""

    @abstractmethod
    def describe(self, gates: Gates) -> str:
        """Return the figures and their limits in one line."""

    @abstractmethod
    def limits(self, gates: Gates) -> dict[str, float]:
        """Return figure -> limit, for `certificate.json`."""

    @abstractmethod
    def figures(self) -> dict[str, Any]:
        """Return the figures as plain types, for `certificate.json`."""

    @classmethod
    @abstractmethod
    def worst(cls, cases: Sequence[Any]) -> dict[str, Any]:
        """Return the worst figures of cases of this kind as plain types."""

    @classmethod
    @abstractmethod
    def facts(cls, cases: Sequence[Any]) -> list[tuple[str, str]]:
        """Return the worst figures of cases of this kind for people, as names and values."""

    @property
    def _inputs_in_words(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.inputs.items())


@dataclass(frozen=True)
class LogitsCase(Case):
    """A comparison of logits and of the classes that they predict.

    Attributes:
        noun: what a class is predicted for, in the plural, e.g. `pixels`.
        few: whether there are so few predictions that one near tie among them is more than the
            limit of the agreement allows.
        error: largest absolute difference of a logit, as a fraction of PyTorch's largest absolute
            logit; infinite where a logit is not finite.
        agreement: fraction of predictions with the same class.
        differing: number of predictions with another class.
        widest_gap: largest gap between PyTorch's two best logits where the class differs, as a
            fraction of the range of its logits, or of the largest absolute one where there are
            few; 0 where none differs. A network that hardly separates a few inputs has logits
            whose range is next to nothing.
    """

    noun: str
    few: bool
    error: float
    agreement: float
    differing: int
    widest_gap: float

    def passes(self, gates: Gates) -> bool:
        agrees = self.agreement >= gates.agreement
        ties = self.widest_gap <= self._near_tie(gates)
        return self.error <= gates.tolerance and ((agrees or ties) if self.few else agrees and ties)

    def describe(self, gates: Gates) -> str:
        return (
            f"{self._inputs_in_words}: logits differ by {self.error:.2g} of the largest (at most "
            f"{gates.tolerance:g}), {self.agreement:.6f} of the {self.noun} agree (at least "
            f"{gates.agreement}) {'or' if self.few else 'and'} the widest gap where they do not is "
            f"{self.widest_gap:.2g} (at most {self._near_tie(gates):g})"
        )

    def limits(self, gates: Gates) -> dict[str, float]:
        return {
            "logits_error": gates.tolerance,
            "argmax_agreement": gates.agreement,
            "near_tie": self._near_tie(gates),
        }

    def figures(self) -> dict[str, Any]:
        return {
            "logits_error": _number(self.error),
            "agreement": self.agreement,
            "differing": self.differing,
            "widest_gap": _number(self.widest_gap),
        }

    @classmethod
    def worst(cls, cases: Sequence[LogitsCase]) -> dict[str, Any]:
        return {
            "max_logits_error": _number(max(case.error for case in cases)),
            "min_agreement": min(case.agreement for case in cases),
            f"differing_{cases[0].noun}": sum(case.differing for case in cases),
        }

    @classmethod
    def facts(cls, cases: Sequence[LogitsCase]) -> list[tuple[str, str]]:
        agreement = f"{min(case.agreement for case in cases):.6f} at least"
        if cases[0].few and any(case.differing for case in cases):
            agreement += "; the others nearly tie"
        return [
            ("largest logit error", f"{max(case.error for case in cases):.1e} of the largest"),
            (f"{cases[0].noun} that agree", agreement),
        ]

    def _near_tie(self, gates: Gates) -> float:
        return gates.near_tie_of_few if self.few else gates.near_tie


@dataclass(frozen=True)
class ValuesCase(Case):
    """A comparison of values that predict no class.

    Attributes:
        name: of the output, e.g. `embedding`.
        error: largest absolute difference of a value, as a fraction of PyTorch's largest absolute
            value; infinite where a value is not finite.
    """

    name: str
    error: float

    def passes(self, gates: Gates) -> bool:
        return self.error <= gates.tolerance

    def describe(self, gates: Gates) -> str:
        return (
            f"{self._inputs_in_words}: '{self.name}' differs by {self.error:.2g} of the largest "
            f"value (at most {gates.tolerance:g})"
        )

    def limits(self, gates: Gates) -> dict[str, float]:
        return {f"{self.name}_error": gates.tolerance}

    def figures(self) -> dict[str, Any]:
        return {f"{self.name}_error": _number(self.error)}

    @classmethod
    def worst(cls, cases: Sequence[ValuesCase]) -> dict[str, Any]:
        return {f"max_{name}_error": _number(error) for name, error in cls._largest(cases).items()}

    @classmethod
    def facts(cls, cases: Sequence[ValuesCase]) -> list[tuple[str, str]]:
        return [
            (f"largest {name} error", f"{error:.1e} of the largest")
            for name, error in cls._largest(cases).items()
        ]

    @staticmethod
    def _largest(cases: Sequence[ValuesCase]) -> dict[str, float]:
        names = dict.fromkeys(case.name for case in cases)
        return {name: max(case.error for case in cases if case.name == name) for name in names}


@dataclass(frozen=True)
class SetScore:
    """The scores of PyTorch and ONNX Runtime on a labelled set.

    Attributes:
        score: what is scored, e.g. the mIoU.
        over: what was scored, e.g. `12 images`.
        torch, onnx: both scores, in [0, 1]; None where the set leaves them undefined.
        details: what else `certificate.json` says of the scores.
        facts: what else users are shown, as names and values.
    """

    score: Score
    over: str
    torch: float | None
    onnx: float | None
    details: dict[str, Any] = field(default_factory=dict)
    facts: list[tuple[str, str]] = field(default_factory=list)

    def passes(self, gates: Gates) -> bool:
        """Return whether the score of the file is not worse than the limit allows."""
        if self.torch is None or self.onnx is None:
            return self.torch is self.onnx
        loss = self.torch - self.onnx if self.score.higher_is_better else self.onnx - self.torch
        return loss <= gates.score_fall

    def describe(self) -> str:
        """Return both scores in one line."""
        return f"{self.score.name} over {self.over}: torch {self.torch}, onnx {self.onnx}"

    def figures(self) -> dict[str, Any]:
        """Return the scores as plain types, for `certificate.json`."""
        key = self.score.name.lower()
        return {**self.details, f"torch_{key}": self.torch, f"onnx_{key}": self.onnx}


@dataclass(frozen=True)
class Certificate:
    """The checks of an export and their results.

    Attributes:
        structure: check -> None where it passed, else the reason.
        cases: the comparisons on synthetic inputs.
        dataset: the scores on a labelled set, where one was given.
        precision: number format of the file, which chooses the limits.
    """

    structure: dict[str, str | None]
    cases: tuple[Case, ...]
    dataset: SetScore | None = None
    precision: str = "fp32"

    @property
    def gates(self) -> Gates:
        """The limits of the file's precision."""
        return GATES[self.precision]

    @property
    def failures(self) -> list[str]:
        """One line for each check that failed."""
        lines = [f"{name}: {reason}" for name, reason in self.structure.items() if reason]
        lines += [case.describe(self.gates) for case in self.cases if not case.passes(self.gates)]
        if self.dataset is not None and not self.dataset.passes(self.gates):
            lines.append(self.dataset.describe())
        return lines

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return not self.failures

    def facts(self) -> list[tuple[str, str]]:
        """Return the worst figures of the cases for people, as names and values."""
        return [fact for kind, cases in self._by_kind() for fact in kind.facts(cases)]

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for `certificate.json`."""
        limits: dict[str, float] = {}
        worst: dict[str, Any] = {}
        for kind, cases in self._by_kind():
            worst |= kind.worst(cases)
            for case in cases:
                limits |= case.limits(self.gates)
        return {
            "passed": self.passed,
            "precision": self.precision,
            "tolerances": limits,
            "structure": {
                name: {"passed": reason is None, "reason": reason}
                for name, reason in self.structure.items()
            },
            "parity": {
                **worst,
                "cases": [
                    {**case.inputs, **case.figures(), "passed": case.passes(self.gates)}
                    for case in self.cases
                ],
            },
            "dataset": self.dataset
            and {**self.dataset.figures(), "passed": self.dataset.passes(self.gates)},
            "failures": self.failures,
        }

    def _by_kind(self) -> list[tuple[type[Case], list[Case]]]:
        kinds = dict.fromkeys(type(case) for case in self.cases)
        return [(kind, [case for case in self.cases if type(case) is kind]) for kind in kinds]


def compare_logits(
    inputs: dict[str, Any],
    reference: NDArray[np.float32],
    logits: NDArray[np.float32],
    *,
    noun: str,
    few: bool = False,
    predicted: NDArray[Any] | None = None,
) -> LogitsCase:
    """Compare logits of two backends, with the classes along axis 1.

    Args:
        inputs, noun, few: see `LogitsCase`.
        reference: PyTorch's logits.
        logits: ONNX Runtime's.
        predicted: the class ids that the file returns; None takes the largest logits.
    """
    classes = logits.argmax(axis=1) if predicted is None else predicted
    differs = reference.argmax(axis=1) != classes
    unit = np.abs(reference).max() if few else reference.max() - reference.min()
    return LogitsCase(
        inputs,
        noun,
        few,
        relative_error(reference, logits),
        float(1 - differs.mean()),
        int(differs.sum()),
        widest_gap(reference, differs, float(unit)),
    )


def relative_error(reference: NDArray[np.float32], values: NDArray[np.float32]) -> float:
    """Return the largest absolute difference / the largest absolute value of the reference.

    Infinite where a value of either is not finite.
    """
    if not (np.isfinite(reference).all() and np.isfinite(values).all()):
        return math.inf
    return float(np.abs(reference - values).max()) / max(float(np.abs(reference).max()), 1e-30)


def widest_gap(reference: NDArray[np.float32], differs: NDArray[np.bool_], unit: float) -> float:
    """Return the largest gap between the two best logits where two backends chose differently.

    Args:
        reference: logits, with the classes along axis 1.
        differs: where they did; the shape of the logits without axis 1.
        unit: the gap is returned as a fraction of it.

    Returns:
        0 where none differ; infinite where logits are not finite.
    """
    if not differs.any() or reference.shape[1] < 2:
        return 0.0
    top = np.partition(reference, -2, axis=1)[:, -2:]
    gap = float((top[:, 1] - top[:, 0])[differs].max()) / max(unit, 1e-30)
    return gap if math.isfinite(gap) else math.inf


def synthetic_images(rng: np.random.Generator, shape: tuple[int, int, int]) -> Pixels:
    """Return random images with areas, edges and grain, which are closer to photographs than noise.

    Args:
        rng: source of randomness.
        shape: (N, H, W); the images are uint8 [N, H, W, 3].
    """
    count, height, width = shape
    coarse = rng.integers(0, 256, (count, height // 16 + 2, width // 16 + 2, 3))
    areas = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    grain = rng.normal(0, 20, (count, height, width, 3))
    return np.asarray(np.clip(areas + grain, 0, 255), dtype=np.uint8)


def _number(value: float) -> float | None:
    """Return a number for JSON, which has none that is not finite."""
    return value if math.isfinite(value) else None
