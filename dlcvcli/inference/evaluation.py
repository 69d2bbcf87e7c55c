"""What `dlcv eval` needs from a task: the scores of a model on a set, and their table."""

from __future__ import annotations

import csv
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np

from dlcvcli.config.names import Provider
from dlcvcli.errors import UsageError
from dlcvcli.extras import require_package
from dlcvcli.reporter import Reporter
from dlcvcli.runs import ModelRef

# Suffixes of the files that figures are saved to.
FIGURES = (".png", ".pdf")


@dataclass(frozen=True)
class EvalRequest:
    """A model to evaluate, and the set to evaluate it on.

    Attributes:
        ref: a checkpoint or an ONNX file.
        data: folder of the set.
        split: split of the set.
        provider: for ONNX Runtime; for PyTorch, `cuda` and `cpu` name the device.
        batch_size: images per forward call; None for the default.
        flags: flags of the task, as typed.
    """

    ref: ModelRef
    data: Path
    split: str
    provider: Provider
    batch_size: int | None
    flags: Any

    def as_words(self) -> list[str]:
        """Return the flags of `dlcv eval` for this request, without the model and the data."""
        words = ["--split", self.split, "--provider", self.provider, *self.flags.as_words()]
        return words + ([] if self.batch_size is None else ["--batch-size", str(self.batch_size)])


@dataclass(frozen=True)
class Row:
    """A row of the table of a result.

    Attributes:
        name: its label.
        shown: returns the cell of a backend, from a mapping with its `metrics` and `speed`.
        both: whether PyTorch's cell is shown beside that of ONNX Runtime.
    """

    name: str
    shown: Callable[[Mapping[str, Any]], str]
    both: bool = True


@dataclass(frozen=True)
class ResultTable:
    """The result of an evaluation for people.

    Attributes:
        subject: the model and the data, e.g. ``fcn8s_vgg16 on 101 images (val)``.
        sections: rows, with a line between two sections.
        unit: what the agreement of the backends counts, e.g. `pixels`.
        notes: lines below the table.
    """

    subject: str
    sections: Sequence[Sequence[Row]]
    unit: str
    notes: Sequence[str] = ()


class Latency(TypedDict):
    """Median and 95th percentile of a call, in milliseconds."""

    p50: float
    p95: float


class Speed(TypedDict):
    """How fast an evaluation was.

    Keys are those of `dlcv eval --json`: images a second from reading to scoring (of a few-shot
    model, images embedded a second), peak memory of the process in MiB, images (or tiles) a call,
    seconds in all, and the fraction of them that each stage took.
    """

    images_per_s: float
    peak_memory_mb: int
    latency_ms: Latency
    batch_size: int
    wall_s: float
    share: dict[str, float]
    episodes_per_s: NotRequired[float]


class Evaluator(ABC):
    """Scores models of one task.

    Attributes:
        predictions: the flag of `dlcv eval` that writes the predictions that `--compare` needs.
        compared: metrics that are not scalars and are still reported for both backends.
    """

    predictions: str
    compared: Sequence[str] = ()

    def check(self, request: EvalRequest) -> None:
        """Refuse flags that contradict each other, before anything is loaded.

        Raises:
            UsageError: they do.
        """

    @abstractmethod
    def evaluate(self, request: EvalRequest, reporter: Reporter) -> dict[str, Any]:
        """Return the result as plain types, as `dlcv eval --json` writes it."""

    @abstractmethod
    def agreement(self, first: Path, second: Path) -> float:
        """Return the fraction of equal predictions of two runs of `dlcv eval`."""

    @abstractmethod
    def table(self, result: dict[str, Any]) -> ResultTable:
        """Return the table of a result."""

    def finish(self, request: EvalRequest, result: dict[str, Any]) -> None:
        """Write the files that the flags ask for beside the result."""


def describe_model(predictor: Any) -> dict[str, Any]:
    """Return the backend, provider, precision and notes of a predictor, for the result."""
    return {
        "backend": predictor.backend,
        "provider": predictor.provider,
        "precision": predictor.precision,
        **predictor.notes,
    }


def seen_notes(data: Mapping[str, Any]) -> list[str]:
    """Return a warning if the model was trained on images that it was scored on."""
    if not data["trained_on"]:
        return []
    return [
        f"warning: the model was trained on {data['trained_on']} of the {data['images']} images: "
        "its scores are too high"
    ]


def latency_ms(laps: Sequence[float]) -> Latency:
    """Return the median and the 95th percentile, in milliseconds, of seconds per call."""
    median, late = np.percentile(laps, [50, 95]).tolist()
    return {"p50": median * 1e3, "p95": late * 1e3}


def require_target(path: Path, flag: str, suffixes: Sequence[str]) -> None:
    """Refuse a file that a flag cannot write to, before anything is computed.

    Args:
        path: the file.
        flag: as typed, e.g. `--confusion`.
        suffixes: those that it can write.

    Raises:
        UsageError: it has another suffix, or is a folder.
        MissingExtra: it is a figure, and matplotlib is not installed.
    """
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{flag} {path} ends in none of {', '.join(suffixes)}")
    if path.is_dir():
        raise UsageError(f"{flag} {path} is a folder", "name a file")
    if path.suffix.lower() in FIGURES:
        require_package("matplotlib", f"drawing the figure of {flag}")


def confusion_csv(confusion: Mapping[str, Any]) -> str:
    """Return the counts of a confusion matrix as CSV: a row for each true class."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["true \\ predicted", *confusion["classes"]])
    for name, row in zip(confusion["classes"], confusion["counts"], strict=True):
        writer.writerow([name, *row])
    return out.getvalue()
