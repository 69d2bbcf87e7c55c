"""Run an ONNX Runtime session, on the CPU or on a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from dlcvcli.errors import ModelFileError
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.finite import require_finite
from dlcvcli.runtime.session import Session, runtime_error


class OnnxRun:
    """Runs a session for one of its outputs.

    Attributes:
        provider: the execution provider in force.
        on_gpu: whether it computes on a GPU.
        notes: facts for the result: why the provider was chosen, and how many nodes each runs.
    """

    def __init__(self, session: Session) -> None:
        self.provider = session.provider
        self.on_gpu = session.on_gpu
        self.notes: dict[str, Any] = {"provider_reason": session.reason}
        if session.nodes:
            self.notes["nodes_per_provider"] = session.nodes
        self._session = session.session
        self._device = session.device

    def has_output(self, output: str) -> bool:
        """Return whether the model has an output of this name."""
        return output in {value.name for value in self._session.get_outputs()}

    def __call__(self, output: str, feed: Mapping[str, NDArray[Any]], clock: StageClock) -> Any:
        """Return one output as an array in main memory.

        Args:
            output: its name.
            feed: every input by its name.
            clock: receives the time of `copy` (to and from the device) and `run`.

        Raises:
            ModelFileError: ONNX Runtime cannot run the model on such inputs.
            DlcvError: a value of a floating output is not finite.
        """
        try:
            values = self._compute(output, feed, clock)
        except Exception as error:
            detail = runtime_error(error)
            if detail is None:
                raise
            shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in feed.items())
            raise ModelFileError(
                f"ONNX Runtime cannot run the model on {shapes}: {detail}",
                "if it ran out of memory, choose a smaller --batch-size, or --tile",
            ) from error
        if values.dtype.kind == "f":
            require_finite((values.min(), values.max()), output)
        return values

    def _compute(
        self, output: str, feed: Mapping[str, NDArray[Any]], clock: StageClock
    ) -> NDArray[Any]:
        if not self.on_gpu:
            with clock.stage("run"):
                values: NDArray[Any] = self._session.run([output], dict(feed))[0]
            return values
        # Only uint8 images go to the GPU, and only masks or embeddings come back.
        binding = self._session.io_binding()
        with clock.stage("copy"):
            for name, value in feed.items():
                binding.bind_cpu_input(name, value)
            binding.bind_output(output, self._device)
        with clock.stage("run"):
            self._session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        with clock.stage("copy"):
            copied: NDArray[Any] = binding.copy_outputs_to_cpu()[0]
        return copied
