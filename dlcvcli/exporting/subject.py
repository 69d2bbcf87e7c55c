"""What an export needs from a model: its graph, its comparison with PyTorch, its scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dlcvcli.exporting.certify import Case, SetScore
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.metadata import ModelCard


class Subject(ABC):
    """A trained model that is exported.

    Attributes:
        card: what the file says of itself.
        inputs, outputs: names of those of the file, in their order.
    """

    card: ModelCard
    inputs: Sequence[str]
    outputs: Sequence[str]

    @abstractmethod
    def trace(self, opset: int) -> Any:
        """Return the `onnx.ModelProto` that is compared with PyTorch.

        Raises:
            DlcvError: the exporter fails; carries its own words.
        """

    def final(self, traced: Any) -> Any:
        """Return the part of a traced model that users get."""
        return traced

    @abstractmethod
    def compare(self, content: bytes, traced: bytes) -> tuple[Case, ...]:
        """Compare a file, and the traced model that it was made of, with PyTorch.

        On synthetic images, both on the CPU in float32.
        """

    @abstractmethod
    def facts(self) -> list[tuple[str, str]]:
        """Return what users want to know of the file, as names and values."""

    @abstractmethod
    def open_data(self, folder: Path, split: str, reporter: Reporter) -> Any:
        """Open a labelled set on which both backends are scored.

        Raises:
            DataError: the set cannot be used.
        """

    @abstractmethod
    def amount(self, data: Any) -> str:
        """Return how much of a set both backends are scored on, e.g. `12 images`."""

    @abstractmethod
    def score(self, content: bytes, data: Any) -> SetScore:
        """Score PyTorch and a file on a set, both on the CPU."""
