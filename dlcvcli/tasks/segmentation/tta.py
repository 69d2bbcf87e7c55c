"""Test-time augmentation: several views of an image, their probabilities averaged."""

from __future__ import annotations

import numpy as np

from dlcvcli.data.reading import Pixels, stretch
from dlcvcli.errors import UsageError
from dlcvcli.runtime.clock import StageClock
from dlcvcli.tasks.segmentation.predictor import Logits, Predictor, WrappedPredictor

SCALES = (0.75, 1.0, 1.25)
_LEAST, _MOST = 0.1, 4.0


class Augmented(WrappedPredictor):
    """Predicts an image at several scales, each as it is and flipped, and averages.

    The mean is over softmax probabilities (Chen et al. 2018, arXiv:1802.02611, section 4.1, has
    the same scales and horizontal flips); logits are its logarithm.

    Args:
        inner: predicts one view.
        scales: of height and width; each above 0.
        flip: whether to add horizontal flips.

    Raises:
        UsageError: no scale, or one outside a tenth and four.
    """

    def __init__(
        self, inner: Predictor, scales: tuple[float, ...] = SCALES, *, flip: bool = True
    ) -> None:
        super().__init__(inner, {"tta": {"scales": list(scales), "flip": flip}})
        if not scales or not all(_LEAST <= scale <= _MOST for scale in scales):
            raise UsageError(
                f"scales {list(scales)}: one or more from {_LEAST} to {_MOST} are needed"
            )
        self.scales = scales
        self.flip = flip

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return float32 [N, C, h, w], logarithms of mean probabilities."""
        total: Logits | None = None
        for scale in self.scales:
            height, width = (max(2, round(side * scale)) for side in images.shape[1:3])
            view = np.stack([stretch(image, (height, width)) for image in images])
            for flipped in (False, True) if self.flip else (False,):
                seen = view[:, :, ::-1] if flipped else view
                logits = self.inner.logits(np.ascontiguousarray(seen), size, clock)
                with clock.stage("score"):
                    probabilities = softmax(logits[..., ::-1] if flipped else logits)
                    total = probabilities if total is None else total + probabilities
        assert total is not None
        views = len(self.scales) * (2 if self.flip else 1)
        with clock.stage("score"):
            return np.log(np.maximum(total / views, np.finfo(np.float32).tiny))


def softmax(logits: Logits) -> Logits:
    """Return the probabilities of logits [N, C, h, w] over their classes."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
