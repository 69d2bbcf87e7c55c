"""The requested provider is used, or an error gives the reason."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import Any, get_args

import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from dlcvcli.config.names import TORCH_PROVIDERS, Provider
from dlcvcli.errors import DeviceError, ModelFileError
from dlcvcli.runtime import session as module
from dlcvcli.runtime.session import PROVIDERS, Session, gpu_obstacle, open_session


@pytest.fixture
def tiny_model() -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture
def no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ctypes, "CDLL", refuse)


def test_the_requested_cpu_provider_is_used(tiny_model: bytes) -> None:
    assert open_session(tiny_model, "cpu").provider == "CPUExecutionProvider"


@pytest.mark.usefixtures("no_driver")
def test_cuda_without_a_driver_is_an_error_and_auto_gives_the_reason(
    tiny_model: bytes,
) -> None:
    for provider in ("cuda", "tensorrt"):
        with pytest.raises(DeviceError, match="no NVIDIA driver") as caught:
            open_session(tiny_model, provider)  # type: ignore[arg-type]
        assert "--provider cpu" in caught.value.hint
    session = open_session(tiny_model, "auto")
    assert session.provider == "CPUExecutionProvider"
    assert "no NVIDIA driver" in session.reason


def test_two_installed_wheels_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(module, "_installed_wheels", lambda: {"onnxruntime", "onnxruntime-gpu"})
    assert "both installed" in str(gpu_obstacle())
    monkeypatch.setattr(module, "_installed_wheels", lambda: {"onnxruntime"})
    assert "for the CPU only" in str(gpu_obstacle())


def test_a_silent_fall_back_to_the_cpu_is_an_error(
    tiny_model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As with a driver whose libraries do not load: the session opens on the CPU.
    monkeypatch.setattr(module, "gpu_obstacle", lambda: None)
    monkeypatch.setattr(ort, "preload_dlls", lambda: sys.stdout.write("Failed to load libcurand"))
    fallen = open_session(tiny_model, "cpu").session
    monkeypatch.setattr(module, "_open", lambda *args: fallen)
    monkeypatch.setattr(module, "_load_error", lambda name: "libcurand.so.10: not found")
    with pytest.raises(DeviceError, match=r"CPUExecutionProvider is in force: libcurand"):
        open_session(tiny_model, "cuda")
    assert "libcurand" in open_session(tiny_model, "auto").reason


def test_heavy_nodes_on_another_provider_are_refused() -> None:
    class Node:
        def __init__(self, op_type: str) -> None:
            self.op_type = op_type

    class Part:
        def __init__(self, ep_name: str, ops: list[str]) -> None:
            self.ep_name = ep_name
            self.ops = ops

        def get_nodes(self) -> list[Node]:
            return [Node(op) for op in self.ops]

    class Placed:
        def __init__(self, *parts: Part) -> None:
            self.parts = parts

        def get_provider_graph_assignment_info(self) -> tuple[Part, ...]:
            return self.parts

    cuda, cpu = "CUDAExecutionProvider", "CPUExecutionProvider"
    fine = Placed(Part(cuda, ["Conv", "Resize"]), Part(cpu, ["Shape", "Gather"]))
    assert module._nodes_per_provider(fine, cuda) == {cuda: 2, cpu: 2}
    stray = Placed(Part(cuda, ["Conv"]), Part(cpu, ["Resize"]))
    with pytest.raises(DeviceError, match="1 Resize"):
        module._nodes_per_provider(stray, cuda)


def test_a_file_that_is_not_an_onnx_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        open_session(tmp_path / "none.onnx", "cpu")
    (tmp_path / "text.onnx").write_text("not a model")
    with pytest.raises(ModelFileError, match="not an ONNX model") as caught:
        open_session(tmp_path / "text.onnx", "cpu")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("provider", "device"), [("cpu", "cpu"), ("cuda", "cuda"), ("tensorrt", "cuda")]
)
def test_a_session_has_the_device_of_its_provider(provider: str, device: str) -> None:
    name, _ = PROVIDERS[provider]
    session = Session(None, name, "", {})
    assert (session.device, session.on_gpu) == (device, device != "cpu")


def test_every_provider_of_the_command_line_is_in_the_table() -> None:
    assert {"auto", *PROVIDERS} == set(get_args(Provider))
    assert set(get_args(Provider)) > TORCH_PROVIDERS
