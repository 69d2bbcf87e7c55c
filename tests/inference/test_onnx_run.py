"""A call of a session returns its output, or raises an error of one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from dlcvcli.errors import DlcvError, ModelFileError
from dlcvcli.inference.onnx_run import OnnxRun
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.session import Session
from tests.inference.on_device import OnDevice


def doubling() -> OnnxRun:
    """Return a graph that doubles two numbers."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return OnnxRun(Session(session, "CPUExecutionProvider", "asked for", {}))


def test_an_output_is_an_array() -> None:
    output = doubling()("y", {"x": np.array([1, 2], np.float32)}, StageClock())
    assert output.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("value", [np.array([1, 2], np.uint8), np.zeros((3, 3), np.float32)])
def test_an_error_of_onnx_runtime_is_one_line_with_the_shapes(value: Any) -> None:
    with pytest.raises(ModelFileError, match="ONNX Runtime cannot run the model on x") as caught:
        doubling()("y", {"x": value}, StageClock())
    assert "\n" not in caught.value.message
    assert str(list(value.shape)) in caught.value.message


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_an_error(bad: float) -> None:
    with pytest.raises(DlcvError, match="the model's y are not finite"):
        doubling()("y", {"x": np.array([1, bad], np.float32)}, StageClock())


def test_values_from_a_gpu_are_checked_too() -> None:
    device = OnDevice(lambda inputs: np.array([np.nan], np.float32))
    run = OnnxRun(Session(device, "CUDAExecutionProvider", "a GPU", {}))
    with pytest.raises(DlcvError, match="the model's embedding are not finite"):
        run("embedding", {"x": np.zeros(1)}, StageClock())


def test_other_errors_are_not_changed() -> None:
    def broken(inputs: dict[str, Any]) -> Any:
        raise KeyError("size")

    run = OnnxRun(Session(OnDevice(broken), "CUDAExecutionProvider", "a GPU", {}))
    with pytest.raises(KeyError):
        run("mask", {"x": np.zeros(1)}, StageClock())
