"""A model of one or two linear graphs that is exported in milliseconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from dlcvcli.exporting.certify import Case, SetScore, ValuesCase, relative_error
from dlcvcli.exporting.subject import Graph, Subject
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.metadata import ModelCard
from dlcvcli.runtime.session import open_session
from dlcvcli.scores import Score

SIDE = 24


class Toy(Subject):
    """Multiplies by a matrix in each graph.

    Args:
        names: of the graphs.
        hidden: whether the traced graphs have an output that users do not get.
        error: added to each weight of the file, which PyTorch's does not have.
    """

    def __init__(
        self, names: Sequence[str] = ("model",), *, hidden: bool = False, error: float = 0.0
    ) -> None:
        self.card = ModelCard("toy", "linear", checkpoint_sha256="ab")
        self.hidden, self.error = hidden, error
        self.graphs = [
            Graph(("x",), ("y",), self._tracer(seed), self._comparer(seed), name)
            for seed, name in enumerate(names)
        ]
        self.compared: list[tuple[Path, Path]] = []

    def facts(self) -> list[tuple[str, str]]:
        return [("model", self.card.model)]

    def open_data(self, folder: Path, split: str, reporter: Reporter) -> Any:
        return folder

    def amount(self, data: Any) -> str:
        return "2 images"

    def score(self, files: Sequence[Path], data: Any) -> SetScore:
        assert all(file.is_file() for file in files)
        return SetScore(
            Score("accuracy", "accuracy"), self.amount(data), 0.5, 0.5, {"files": len(files)}
        )

    def _tracer(self, seed: int) -> Callable[[int], Any]:
        def trace(opset: int) -> Any:
            outputs = ["y", "hidden"] if self.hidden else ["y"]
            nodes = [helper.make_node("MatMul", ["x", "w"], ["hidden"])]
            nodes.append(helper.make_node("Add", ["hidden", "b"], ["y"]))
            values = {
                name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", SIDE])
                for name in ("x", *outputs)
            }
            weights = matrix(seed) + np.float32(self.error)
            graph = helper.make_graph(
                nodes,
                "g",
                [values["x"]],
                [values[name] for name in outputs],
                [
                    numpy_helper.from_array(weights, "w"),
                    numpy_helper.from_array(np.zeros(SIDE, np.float32), "b"),
                ],
            )
            imports = [helper.make_opsetid("", opset)]
            model = helper.make_model(graph, opset_imports=imports, ir_version=9)
            helper.set_model_props(model, self.card.to_metadata())
            return model

        return trace

    def _comparer(self, seed: int) -> Callable[[Path, Path], list[Case]]:
        def compare(file: Path, traced: Path) -> list[Case]:
            self.compared.append((file, traced))
            x = np.random.default_rng(9).normal(size=(5, SIDE)).astype(np.float32)
            (y,) = open_session(file, "cpu").session.run(["y"], {"x": x})
            if self.hidden:
                (hidden,) = open_session(traced, "cpu").session.run(["hidden"], {"x": x})
                assert np.array_equal(hidden, y)
            return [ValuesCase({"x": [5, SIDE]}, "y", relative_error(x @ matrix(seed), y))]

        return compare


def matrix(seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(SIDE, SIDE)).astype(np.float32)
