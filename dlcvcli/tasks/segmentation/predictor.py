"""An exported segmenter under ONNX Runtime."""

from __future__ import annotations

from pathlib import (
    Path,
)
from typing import (
    Any,
)

import numpy as np
from numpy.typing import (
    NDArray,
)

from dlcvcli.data.reading import (
    Pixels,
)
from dlcvcli.errors import (
    UsageError,
)
from dlcvcli.inference.onnx_run import (
    OnnxRun,
)
from dlcvcli.inference.predictor import (
    Logits,
    Predictor,
    StageClock,
)
from dlcvcli.palette import (
    Mask,
)
from dlcvcli.runtime.contract import (
    require_segmenter,
)
from dlcvcli.runtime.metadata import (
    IMAGES,
    LOGITS,
    MASK,
    SIZE,
    SegmenterCard,
    read_segmenter_card,
)
from dlcvcli.runtime.session import (
    Provider,
    Session,
    open_session,
)


class OnnxPredictor:
    """Runs an exported segmenter under ONNX Runtime."""

    backend = "onnx"
    precision = "fp32"
    tile: tuple[int, int] | None = None

    def __init__(self, session: Session, card: SegmenterCard) -> None:
        self.card = card
        self._run = OnnxRun(session)
        self.provider = self._run.provider
        self.notes = self._run.notes

    @classmethod
    def load(cls, path: Path, provider: Provider, *, fixed_shapes: bool = True) -> OnnxPredictor:
        """Open an exported file; see `runtime.session.open_session`.

        Raises:
            ModelFileError: it is no ONNX model, or no segmenter that dlcv exported.
            DeviceError: the provider asked for is not in force.
        """
        session = open_session(path, provider, fixed_shapes=fixed_shapes)
        card = read_segmenter_card(session.metadata, path)
        require_segmenter(session, card, path)
        return cls(session, card)

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        return np.asarray(self._run(MASK, _feed(images, size), clock), dtype=np.uint8)

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return float32 [N, C, h, w]; see `Predictor.logits`."""
        if not self._run.gives(LOGITS):
            raise UsageError(
                "the ONNX file gives out masks alone, and tiles and --tta need its logits",
                "export it with --logits, or give the run folder with --onnx",
            )
        return np.asarray(self._run(LOGITS, _feed(images, size), clock), dtype=np.float32)


def _feed(images: Pixels, size: tuple[int, int]) -> dict[str, NDArray[Any]]:
    return {IMAGES: images, SIZE: np.asarray(size, dtype=np.int64)}


class Wrapped:
    """A predictor that calls another one, and says what it is in that one's words.

    Args:
        inner: what is called.
        notes: what is added to the inner one's notes.
    """

    def __init__(self, inner: Predictor, notes: dict[str, Any]) -> None:
        self.inner = inner
        self.card = inner.card
        self.backend = inner.backend
        self.provider = inner.provider
        self.precision = inner.precision
        self.notes = {**inner.notes, **notes}
        self.tile = inner.tile

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        """Return class ids, uint8 [N, h, w], of uint8 images [N, H, W, 3]."""
        logits = self.logits(images, size, clock)
        with clock.stage("score"):
            return np.asarray(logits.argmax(axis=1), dtype=np.uint8)

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return float32 [N, C, h, w] of uint8 images [N, H, W, 3]."""
        raise NotImplementedError
