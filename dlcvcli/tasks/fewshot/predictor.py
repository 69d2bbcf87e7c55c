"""A trained encoder that can be called, whether PyTorch or ONNX Runtime runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dlcvcli.config.names import Provider
from dlcvcli.data.reading import Pixels
from dlcvcli.inference.onnx_run import OnnxRun
from dlcvcli.prototypes import Floats
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.metadata import IMAGES
from dlcvcli.runtime.session import Session, open_session
from dlcvcli.tasks.fewshot.card import EMBEDDING, EncoderCard


class EncoderPredictor(Protocol):
    """A trained encoder; its caller computes prototypes and distances.

    Attributes:
        card: what the model says of itself.
        backend: `torch` or `onnx`.
        provider: what runs it, e.g. `CPUExecutionProvider` or `cpu`.
        precision: number format of its arithmetic.
        notes: facts for the result, e.g. why the provider was chosen.
    """

    card: EncoderCard
    backend: str
    provider: str
    precision: str
    notes: dict[str, Any]

    def __call__(self, images: Pixels, clock: StageClock) -> Floats:
        """Return embeddings, float32 [N, D], of images uint8 [N, H, W, 3].

        Time goes to the clock's stages `copy` (to and from the device) and `run`.
        """
        ...


class OnnxEncoder:
    """Runs an exported encoder under ONNX Runtime; needs no torch."""

    backend = "onnx"
    precision = "fp32"

    def __init__(self, session: Session, card: EncoderCard) -> None:
        self.card = card
        self._run = OnnxRun(session)
        self.provider = self._run.provider
        self.notes = self._run.notes

    @classmethod
    def load(cls, path: Path, provider: Provider, *, fixed_shapes: bool = True) -> OnnxEncoder:
        """Open an exported file under an execution provider, see `runtime.session.open_session`.

        Raises:
            ModelFileError: it is not an encoder that dlcv exported.
            DeviceError: the provider asked for is not in force.
        """
        session = open_session(path, provider, fixed_shapes=fixed_shapes)
        card = EncoderCard.read(session.metadata, path)
        card.require_graph(session, path)
        return cls(session, card)

    def __call__(self, images: Pixels, clock: StageClock) -> Floats:
        return np.asarray(self._run(EMBEDDING, {IMAGES: images}, clock), dtype=np.float32)
