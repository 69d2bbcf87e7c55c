"""The structure of an exported file is checked by path."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from dlcvcli.exporting.structure import check_structure


def test_dropout_and_other_names_of_inputs_and_outputs_fail_the_structure(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Dropout", ["x"], ["y"])], "g", [x], [y])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    checks = check_structure(path, ["images", "size"], ["mask"])
    assert checks["onnx_checker"] is None
    assert checks["no_training_nodes"] == "Dropout"
    assert checks["inputs_and_outputs"] == "found (['x'], ['y'])"
    assert check_structure(path, ["x"], ["y"])["inputs_and_outputs"] is None


def test_the_reason_of_the_onnx_checker_is_one_line(tmp_path: Path) -> None:
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], [y])
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    reason = check_structure(path, [], ["y"])["onnx_checker"]
    assert reason is not None
    assert "\n" not in reason
