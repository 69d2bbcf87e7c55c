"""An exported segmenter under ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dlcvcli.data.reading import Pixels
from dlcvcli.errors import UsageError
from dlcvcli.inference.predictor import Logits, StageClock
from dlcvcli.palette import Mask
from dlcvcli.runtime.metadata import (
    IMAGES,
    LOGITS,
    MASK,
    SIZE,
    SegmenterCard,
    read_segmenter_card,
)
from dlcvcli.runtime.session import Provider, Session, open_session


class OnnxPredictor:
    """Runs an exported segmenter under ONNX Runtime."""

    backend = "onnx"
    precision = "fp32"
    tile: tuple[int, int] | None = None

    def __init__(self, session: Session, card: SegmenterCard) -> None:
        self.card = card
        self.provider = session.provider
        self.notes: dict[str, Any] = {"provider_reason": session.reason}
        if session.nodes:
            self.notes["nodes_per_provider"] = session.nodes
        self._session = session.session
        self._on_cpu = session.provider == "CPUExecutionProvider"

    @classmethod
    def load(cls, path: Path, provider: Provider, *, fixed_shapes: bool = True) -> OnnxPredictor:
        """Open an exported file; see `runtime.session.open_session`.

        Raises:
            ModelFileError: it is no ONNX model, or no segmenter that dlcv exported.
            DeviceError: the provider asked for is not in force.
        """
        session = open_session(path, provider, fixed_shapes=fixed_shapes)
        return cls(session, read_segmenter_card(session.metadata, path))

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        return np.asarray(self._run(MASK, images, size, clock), dtype=np.uint8)

    def logits(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Logits:
        """Return float32 [N, C, h, w]; see `Predictor.logits`."""
        if LOGITS not in {output.name for output in self._session.get_outputs()}:
            raise UsageError(
                "the ONNX file gives out masks alone, and tiles and --tta need its logits",
                "export it with --logits, or give the run folder with --onnx",
            )
        return np.asarray(self._run(LOGITS, images, size, clock), dtype=np.float32)

    def _run(self, output: str, images: Pixels, size: tuple[int, int], clock: StageClock) -> Any:
        feed = {IMAGES: images, SIZE: np.asarray(size, dtype=np.int64)}
        if self._on_cpu:
            with clock.stage("run", lap=True):
                return self._session.run([output], feed)[0]
        # Small things cross the bus: uint8 images up, uint8 masks down.
        binding = self._session.io_binding()
        with clock.stage("copy"):
            for name, value in feed.items():
                binding.bind_cpu_input(name, value)
            binding.bind_output(output, "cuda")
        with clock.stage("run", lap=True):
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        with clock.stage("copy"):
            return binding.copy_outputs_to_cpu()[0]
