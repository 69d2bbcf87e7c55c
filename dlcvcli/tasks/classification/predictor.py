"""A trained classifier that can be called, whether PyTorch or ONNX Runtime runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dlcvcli.config.names import Provider
from dlcvcli.data.reading import Pixels
from dlcvcli.inference.onnx_run import OnnxRun
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.metadata import IMAGES, LOGITS
from dlcvcli.runtime.session import Session, open_session
from dlcvcli.tasks.classification.card import FEATURES, ClassifierCard

Floats = NDArray[np.float32]


class Predictor(Protocol):
    """A trained classifier.

    Attributes:
        card: what the model says of itself.
        backend: `torch` or `onnx`.
        provider: what runs it, e.g. `CPUExecutionProvider` or `cpu`.
        on_gpu: whether that is a GPU.
        precision: number format of its arithmetic.
        notes: facts for the result, e.g. why the provider was chosen.
    """

    card: ClassifierCard
    backend: str
    provider: str
    on_gpu: bool
    precision: str
    notes: dict[str, Any]

    def __call__(self, images: Pixels, clock: StageClock) -> Floats:
        """Return logits, float32 [N, C], of images uint8 [N, H, W, 3].

        Time goes to the clock's stages `copy` (to and from the device) and `run`.
        """
        ...

    def features(self, images: Pixels, clock: StageClock) -> Floats:
        """Return the features before the last layer, float32 [N, D], of images as above."""
        ...


class OnnxPredictor:
    """Runs an exported classifier under ONNX Runtime; needs no torch."""

    backend = "onnx"
    precision = "fp32"

    def __init__(self, session: Session, card: ClassifierCard) -> None:
        self.card = card
        self._run = OnnxRun(session)
        self.provider = self._run.provider
        self.on_gpu = self._run.on_gpu
        self.notes = self._run.notes

    @classmethod
    def load(cls, path: Path, provider: Provider, *, fixed_shapes: bool = True) -> OnnxPredictor:
        """Open an exported file under an execution provider, see `runtime.session.open_session`.

        Raises:
            ModelFileError: it is not a classifier that dlcv exported.
            DeviceError: the provider asked for is not in force.
        """
        session = open_session(path, provider, fixed_shapes=fixed_shapes)
        card = ClassifierCard.read(session.metadata, path)
        card.require_graph(session, path)
        return cls(session, card)

    def __call__(self, images: Pixels, clock: StageClock) -> Floats:
        return np.asarray(self._run(LOGITS, {IMAGES: images}, clock), dtype=np.float32)

    def features(self, images: Pixels, clock: StageClock) -> Floats:
        """Return the features before the last layer, float32 [N, D]."""
        return np.asarray(self._run(FEATURES, {IMAGES: images}, clock), dtype=np.float32)
