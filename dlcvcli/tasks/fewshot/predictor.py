"""One face for a trained few-shot model, whether PyTorch or ONNX Runtime runs its encoder."""

from __future__ import annotations

from pathlib import (
    Path,
)
from typing import (
    Any,
    Protocol,
)

import numpy as np

from dlcvcli.data.reading import (
    Pixels,
)
from dlcvcli.inference.onnx_run import (
    OnnxRun,
)
from dlcvcli.inference.predictor import (
    StageClock,
)
from dlcvcli.prototypes import (
    Floats,
)
from dlcvcli.runtime.contract import (
    require_encoder,
)
from dlcvcli.runtime.metadata import (
    EMBEDDING,
    IMAGES,
    EmbedderCard,
    read_embedder_card,
)
from dlcvcli.runtime.session import (
    Provider,
    Session,
    open_session,
)


class EmbeddingPredictor(Protocol):
    """A trained few-shot model; prototypes and distances are computed by who calls it.

    Attributes:
        card: what the model says of itself.
        backend: `torch` or `onnx`.
        provider: what runs it, e.g. `CPUExecutionProvider` or `cpu`.
        precision: of its arithmetic.
        notes: facts for the result, e.g. why the provider was chosen.
    """

    card: EmbedderCard
    backend: str
    provider: str
    precision: str
    notes: dict[str, Any]

    def __call__(self, images: Pixels, clock: StageClock) -> Floats:
        """Return embeddings, float32 [N, D], of images uint8 [N, H, W, 3].

        Time goes to the clock's stages `copy` (to and from the device) and `run`.
        """
        ...


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
