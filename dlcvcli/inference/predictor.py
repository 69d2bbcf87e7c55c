"""One face for a trained segmenter, whether PyTorch or ONNX Runtime runs it.

Only the forward call differs between the two; reading, resizing and scoring are shared. This file
needs no torch: the PyTorch predictor is imported where one is asked for.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from dlcvcli.data.reading import Pixels
from dlcvcli.errors import MissingExtra, ModelFileError, UsageError
from dlcvcli.palette import Mask
from dlcvcli.runs import ModelRef
from dlcvcli.runtime.metadata import IMAGES, MASK, SIZE, ModelCard
from dlcvcli.runtime.session import Provider, Session, open_session


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


class Predictor(Protocol):
    """A trained segmenter that can be called.

    Attributes:
        card: what the model says of itself.
        backend: `torch` or `onnx`.
        provider: what runs it, e.g. `CPUExecutionProvider` or `cpu`.
        precision: of its arithmetic.
        notes: facts for the result, e.g. why the provider was chosen.
    """

    card: ModelCard
    backend: str
    provider: str
    precision: str
    notes: dict[str, Any]

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        """Return class ids, uint8 [N, h, w], of uint8 images [N, H, W, 3].

        Time goes to the clock's stages `copy` (to and from the device) and `run`.
        """
        ...


class OnnxPredictor:
    """Runs an exported segmenter under ONNX Runtime."""

    backend = "onnx"
    precision = "fp32"

    def __init__(self, session: Session, card: ModelCard) -> None:
        self.card = card
        self.provider = session.provider
        self.notes: dict[str, Any] = {"provider_reason": session.reason}
        if session.nodes:
            self.notes["nodes_per_provider"] = session.nodes
        self._session = session.session
        self._on_cpu = session.provider == "CPUExecutionProvider"

    def __call__(self, images: Pixels, size: tuple[int, int], clock: StageClock) -> Mask:
        feed = {IMAGES: images, SIZE: np.asarray(size, dtype=np.int64)}
        if self._on_cpu:
            with clock.stage("run", lap=True):
                (mask,) = self._session.run([MASK], feed)
            return np.asarray(mask)
        # Small things cross the bus: uint8 images up, uint8 masks down.
        binding = self._session.io_binding()
        with clock.stage("copy"):
            for name, value in feed.items():
                binding.bind_cpu_input(name, value)
            binding.bind_output(MASK, "cuda")
        with clock.stage("run", lap=True):
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        with clock.stage("copy"):
            (mask,) = binding.copy_outputs_to_cpu()
        return np.asarray(mask)


def load_predictor(
    ref: ModelRef, *, provider: Provider = "auto", fixed_shapes: bool = True
) -> Predictor:
    """Load the model that a reference names.

    Args:
        ref: a checkpoint or an ONNX file.
        provider: for ONNX Runtime; for PyTorch, `cuda` and `cpu` name the device.
        fixed_shapes: see `runtime.session.open_session`.

    Raises:
        ModelFileError, CheckpointError: the file cannot be used.
        DeviceError: the provider asked for is not in force.
        MissingExtra: a checkpoint, and torch is not installed.
    """
    if ref.kind == "onnx":
        session = open_session(ref.path, provider, fixed_shapes=fixed_shapes)
        card = ModelCard.from_metadata(session.metadata, ref.path)
        if card.task != "seg":
            raise ModelFileError(f"{ref.path} holds task '{card.task}'; a segmenter is needed")
        return OnnxPredictor(session, card)
    if provider == "tensorrt":
        raise UsageError(
            "--provider tensorrt runs ONNX files; the model is a PyTorch checkpoint", "add --onnx"
        )
    require_torch("running a PyTorch checkpoint")
    from dlcvcli.inference.torch_predictor import TorchPredictor

    return TorchPredictor.load(ref, provider)


def require_torch(what: str) -> None:
    """Say in one line that the part of dlcv which trains is not installed.

    Raises:
        MissingExtra: torch is missing.
    """
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise MissingExtra(
            f"{what} needs torch, which is not installed",
            "pip install 'dlcv[train]'",
        )
