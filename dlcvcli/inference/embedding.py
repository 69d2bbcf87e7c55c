"""One face for a trained few-shot model, whether PyTorch or ONNX Runtime runs its encoder."""

from __future__ import annotations

from typing import Any, Protocol

from dlcvcli.data.reading import Pixels
from dlcvcli.inference.predictor import StageClock
from dlcvcli.prototypes import Floats
from dlcvcli.runtime.metadata import EmbedderCard


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
