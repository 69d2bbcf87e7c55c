"""Predictors around predictors: what one does with logits instead of a single forward call."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcvcli.data.reading import Pixels
from dlcvcli.inference.predictor import Logits, Predictor, StageClock
from dlcvcli.palette import Mask


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
