"""An ONNX Runtime session on a GPU that is not there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class OnDevice:
    """Notes what is asked of it, and gives out what a function makes of its inputs."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        self.answer = answer
        self.calls: list[str] = []
        self.inputs: dict[str, Any] = {}

    def io_binding(self) -> OnDevice:
        self.calls.append("bind")
        return self

    def bind_cpu_input(self, name: str, value: Any) -> None:
        self.inputs[name] = value

    def bind_output(self, name: str, device: str) -> None:
        self.calls.append(f"{name} on {device}")

    def run_with_iobinding(self, binding: OnDevice) -> None:
        assert binding is self
        self.calls.append("run")

    def synchronize_outputs(self) -> None:
        self.calls.append("wait")

    def copy_outputs_to_cpu(self) -> list[Any]:
        self.calls.append("copy")
        return [self.answer(self.inputs)]
