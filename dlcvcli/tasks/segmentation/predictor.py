"""A trained segmentation model that can be called, whether PyTorch or ONNX Runtime runs it.

Only the forward call differs between the two; loading, resizing and scoring are shared.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dlcvcli.config.names import Provider
from dlcvcli.data.reading import Pixels
from dlcvcli.errors import UsageError
from dlcvcli.inference.onnx_run import OnnxRun
from dlcvcli.palette import Mask
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.metadata import IMAGES, LOGITS
from dlcvcli.runtime.session import Session, open_session
from dlcvcli.tasks.segmentation.card import MASK, SIZE, SegmenterCard

Logits = NDArray[np.float32]


class Predictor(Protocol):
    """A trained segmentation model.

    Attributes:
        card: what the model says of itself.
        backend: `torch` or `onnx`.
        provider: what runs it, e.g. `CPUExecutionProvider` or `cpu`.
        on_gpu: whether that is a GPU.
        precision: number format of its arithmetic.
        notes: facts for the result, e.g. why the provider was chosen.
        tile: (height, width) of the tiles that larger images are predicted in; None for complete
            images.
    """

    card: SegmenterCard
    backend: str
    provider: str
    on_gpu: bool
    precision: str
    notes: dict[str, Any]
    tile: tuple[int, int] | None

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        """Return class ids, uint8 [N, h, w], of uint8 images [N, H, W, 3].

        Time goes to the clock's stages `copy` (to and from the device) and `run`.
        """
        ...

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return logits, float32 [N, C, h, w], of uint8 images [N, H, W, 3].

        Raises:
            UsageError: an ONNX file without that output.
        """
        ...


class OnnxPredictor:
    """Runs an exported segmentation model under ONNX Runtime."""

    backend = "onnx"
    precision = "fp32"
    tile: tuple[int, int] | None = None

    def __init__(self, session: Session, card: SegmenterCard) -> None:
        self.card = card
        self._run = OnnxRun(session)
        self.provider = self._run.provider
        self.on_gpu = self._run.on_gpu
        self.notes = self._run.notes

    @classmethod
    def load(cls, path: Path, provider: Provider, *, fixed_shapes: bool = True) -> OnnxPredictor:
        """Open an exported file under an execution provider, see `runtime.session.open_session`.

        Raises:
            ModelFileError: it is not a segmentation model that dlcv exported.
            DeviceError: the provider asked for is not in force.
        """
        session = open_session(path, provider, fixed_shapes=fixed_shapes)
        card = SegmenterCard.read(session.metadata, path)
        card.require_graph(session, path)
        return cls(session, card)

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        return np.asarray(self._run(MASK, _feed(images, size), clock), dtype=np.uint8)

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return logits, float32 [N, C, h, w], of uint8 images [N, H, W, 3].

        Raises:
            UsageError: the file returns masks only.
        """
        if not self._run.has_output(LOGITS):
            raise UsageError(
                "the ONNX file returns masks only, and --tile and --tta need its logits",
                "export it with --logits, or give the run folder with --onnx",
            )
        return np.asarray(self._run(LOGITS, _feed(images, size), clock), dtype=np.float32)


class WrappedPredictor:
    """Base of predictors that call another one, and are described as that one is.

    Args:
        inner: the one that is called.
        notes: added to the notes of the inner one.
    """

    def __init__(self, inner: Predictor, notes: dict[str, Any]) -> None:
        self.inner = inner
        self.card = inner.card
        self.backend = inner.backend
        self.provider = inner.provider
        self.on_gpu = inner.on_gpu
        self.precision = inner.precision
        self.notes = {**inner.notes, **notes}
        self.tile = inner.tile

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        """Return class ids, uint8 [N, h, w], of uint8 images [N, H, W, 3]."""
        logits = self.logits(images, size, clock)
        with clock.stage("score"):
            return np.asarray(logits.argmax(axis=1), dtype=np.uint8)

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return logits, float32 [N, C, h, w], of uint8 images [N, H, W, 3]."""
        raise NotImplementedError


def _feed(images: Pixels, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
    return {IMAGES: images, SIZE: np.asarray(size, dtype=np.int64)}
