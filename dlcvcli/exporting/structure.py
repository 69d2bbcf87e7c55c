"""Check the structure of an exported ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx

_TRAINING_OPS = frozenset({"Dropout"})


def check_structure(
    path: Path, inputs: Sequence[str], outputs: Sequence[str]
) -> dict[str, str | None]:
    """Return check -> None where it passed, else the reason.

    The checks are ONNX's own full check, that no node is in training mode, and that the inputs and
    outputs are those of the contract.

    Args:
        path: the ONNX file; its external data, if any, is beside it.
        inputs, outputs: the names that the graph should have, in their order.
    """
    checks: dict[str, str | None] = {"onnx_checker": None}
    try:
        # By path, since a model of more than 2 GiB cannot be handed over in memory.
        onnx.checker.check_model(path, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        checks["onnx_checker"] = " ".join(str(error).split())[:200]
    graph = onnx.load(path, load_external_data=False).graph
    training = [node.op_type for node in graph.node if _trains(node)]
    checks["no_training_nodes"] = ", ".join(training) or None
    names = [value.name for value in graph.input], [value.name for value in graph.output]
    expected = list(inputs), list(outputs)
    checks["inputs_and_outputs"] = None if names == expected else f"found {names}"
    return checks


def _trains(node: Any) -> bool:
    if node.op_type in _TRAINING_OPS:
        return True
    return any(item.name == "training_mode" and item.i for item in node.attribute)
