"""What an export needs from a model: its graphs, their comparison with PyTorch, its scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcvcli.errors import UsageError
from dlcvcli.exporting.certify import Case, SetScore
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.metadata import ModelCard


@dataclass(frozen=True)
class Graph:
    """A graph of a model, which becomes one ONNX file.

    Attributes:
        inputs, outputs: names of those of the file, in their order.
        trace: returns the `onnx.ModelProto` of an opset. It may have more outputs than the file,
            which only the comparison needs.
        compare: runs a file, and the traced graph with all its outputs, on synthetic inputs and
            returns their comparison with PyTorch, both on the CPU in float32.
        name: of the file without its suffix, where the model has several graphs.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    trace: Callable[[int], Any]
    compare: Callable[[Path, Path], Sequence[Case]]
    name: str = "model"


class Subject(ABC):
    """A trained model that is exported.

    Attributes:
        card: what its files say of themselves. The export adds its versions before it traces.
        graphs: its graphs, at least one.
    """

    card: ModelCard
    graphs: Sequence[Graph]

    @abstractmethod
    def facts(self) -> list[tuple[str, str]]:
        """Return what users want to know of the model, as names and values."""

    def open_data(self, folder: Path, split: str, reporter: Reporter) -> Any:
        """Return a labelled set on which both backends are scored.

        Raises:
            DataError: the set cannot be used.
            UsageError: models of the task are not scored on a set.
        """
        raise UsageError(
            f"--verify-data: {self.card.model} of task {self.card.task} has no scores on a set",
            "leave --verify-data out",
        )

    def amount(self, data: Any) -> str:
        """Return how much of a set both backends are scored on, e.g. `12 images`."""
        raise NotImplementedError

    def score(self, files: Sequence[Path], data: Any) -> SetScore:
        """Return the scores of PyTorch and of the files of the graphs on a set, on the CPU."""
        raise NotImplementedError
