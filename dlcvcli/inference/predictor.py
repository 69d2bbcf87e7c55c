"""One face for a trained segmenter, whether PyTorch or ONNX Runtime runs it.

Only the forward call differs between the two; reading, resizing and scoring are shared.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dlcvcli.data.reading import Pixels
from dlcvcli.errors import DlcvError
from dlcvcli.palette import Mask
from dlcvcli.runtime.metadata import SegmenterCard

Logits = NDArray[np.float32]


class StageClock:
    """Seconds spent in each stage of an evaluation.

    `laps` keeps each duration of the stages named in `keep`, for percentiles.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.laps: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def stage(self, name: str, *, lap: bool = False) -> Iterator[None]:
        """Add the time inside the `with` to a stage."""
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            self.seconds[name] += seconds
            if lap:
                self.laps[name].append(seconds)


def require_finite(extremes: Iterable[float], what: str) -> None:
    """Refuse what a model computed where a value of it is infinite or not a number.

    Args:
        extremes: the smallest and the largest value, which are found in a tenth of the time of
            looking at each value; both are NaN where any value is.
        what: the values are, e.g. `logits`.

    Raises:
        DlcvError: one is not; a mask or a score made of it would be wrong.
    """
    if not all(math.isfinite(value) for value in extremes):
        raise DlcvError(
            f"the model's {what} are not finite: its weights are damaged or far too large",
            "use another checkpoint of the run, and export that one again",
        )


class Predictor(Protocol):
    """A trained segmenter that can be called.

    Attributes:
        card: what the model says of itself.
        backend: `torch` or `onnx`.
        provider: what runs it, e.g. `CPUExecutionProvider` or `cpu`.
        precision: of its arithmetic.
        notes: facts for the result, e.g. why the provider was chosen.
        tile: (height, width) of the parts that larger images are predicted in; None for whole ones.
    """

    card: SegmenterCard
    backend: str
    provider: str
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
            UsageError: an ONNX file that does not give them out.
        """
        ...
