"""What `dlcv predict` needs from a task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dlcvcli.config.names import Provider
from dlcvcli.reporter import Reporter
from dlcvcli.runs import ModelRef


@dataclass(frozen=True)
class PredictRequest:
    """A model, its inputs, and where the predictions go.

    Attributes:
        ref: a checkpoint or an ONNX file.
        inputs: as typed: files, folders, or `-` for a list on stdin.
        listed: the lines of that list.
        out: folder of the results.
        provider: for ONNX Runtime; for PyTorch, `cuda` and `cpu` name the device.
        flags: flags of the task, as typed.
    """

    ref: ModelRef
    inputs: list[str]
    listed: Iterable[str]
    out: Path
    provider: Provider
    flags: Any


class Predict(Protocol):
    """Predicts, writes the results, and yields a line on each."""

    def __call__(self, request: PredictRequest, reporter: Reporter) -> Iterator[str]:
        """Yield a line for each result when it is written.

        Raises:
            UsageError: the flags do not fit.
            DataError: an input cannot be used; raised after the others were predicted.
        """
        ...
