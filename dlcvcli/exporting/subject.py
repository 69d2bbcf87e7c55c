"""What an export asks of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.data.segmentation import SegmentationSet
from dlcvcli.exporting.certify import Case, SetScore
from dlcvcli.runtime.metadata import ModelCard

VerifyData = SegmentationSet | FewShotSet


class Subject(ABC):
    """A checkpoint that is exported.

    Attributes:
        card: what the file says of itself.
        inputs, outputs: names of the file's, in their order.
    """

    card: ModelCard
    inputs: Sequence[str]
    outputs: Sequence[str]

    @abstractmethod
    def trace(self, opset: int) -> Any:
        """Return the `onnx.ModelProto` that is compared.

        Raises:
            DlcvError: the exporter fails; carries its own words.
        """

    def given_out(self, traced: Any) -> Any:
        """Return what of a traced model users get."""
        return traced

    @abstractmethod
    def compare(self, content: bytes, traced: bytes) -> tuple[Case, ...]:
        """Compare a file, and the traced model that it was made of, with PyTorch on made images."""

    @abstractmethod
    def amount(self, data: VerifyData) -> str:
        """Return how much of a set both backends are scored on, e.g. `12 images`."""

    @abstractmethod
    def score(self, content: bytes, data: VerifyData) -> SetScore:
        """Score PyTorch and a file on a set, both on the CPU."""
