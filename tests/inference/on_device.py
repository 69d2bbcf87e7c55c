"""A stand-in for an ONNX Runtime session on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class OnDevice:
    """Records its calls, and returns the result of a function of its inputs."""

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
