"""An exported few-shot encoder under ONNX Runtime; needs no torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcvcli.data.reading import Pixels
from dlcvcli.inference.onnx_run import OnnxRun
from dlcvcli.inference.predictor import StageClock
from dlcvcli.prototypes import Floats
from dlcvcli.runtime.contract import require_encoder
from dlcvcli.runtime.metadata import EMBEDDING, IMAGES, EmbedderCard, read_embedder_card
from dlcvcli.runtime.session import Provider, Session, open_session


class OnnxEmbedder:
    """Runs an exported encoder under ONNX Runtime; see `inference.embedding.EmbeddingPredictor`."""

    backend = "onnx"
    precision = "fp32"

    def __init__(self, session: Session, card: EmbedderCard) -> None:
        self.card = card
        self._run = OnnxRun(session)
        self.provider = self._run.provider
        self.notes = self._run.notes

    @classmethod
    def load(cls, path: Path, provider: Provider, *, fixed_shapes: bool = True) -> OnnxEmbedder:
        """Open an exported file; see `runtime.session.open_session`.

        Raises:
            ModelFileError: it is no ONNX model, or no few-shot encoder that dlcv exported.
            DeviceError: the provider asked for is not in force.
        """
        session = open_session(path, provider, fixed_shapes=fixed_shapes)
        card = read_embedder_card(session.metadata, path)
        require_encoder(session, card, path)
        return cls(session, card)

    def __call__(self, images: Pixels, clock: StageClock) -> Floats:
        return np.asarray(self._run(EMBEDDING, {IMAGES: images}, clock), dtype=np.float32)
