"""A traced segmenter has the inputs, outputs and card of the contract, and PyTorch's values."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from dlcvcli.engine.checkpoint import load_checkpoint
from dlcvcli.errors import DlcvError
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import PRESETS
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.segmentation.card import SegmenterCard
from dlcvcli.tasks.segmentation.graph import trace
from dlcvcli.tasks.segmentation.torch import load_segmenter

CARD = SegmenterCard(
    "seg",
    "synthetic",
    PRESETS["landcover7"],
    8,
    size=(40, 56),
    recipe="demo",
    checkpoint_sha256="ab",
)


class Small(nn.Module):
    """Two convolutions, with a ReLU in place between them."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(6, 7, 1)
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.net(x)}


def small_segmenter() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(Small(), CARD.stride)


@pytest.fixture(scope="module")
def traced() -> Any:
    """The small segmenter as an ONNX graph, with its logits; copy what you change."""
    return trace(small_segmenter(), CARD)


def on_cpu(model: bytes | str) -> Any:
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def described(values: Any) -> dict[str, tuple[str, list[str | int]]]:
    return {value.name: (value.type, value.shape) for value in values}


INPUTS = {
    "images": ("tensor(uint8)", ["batch", "height", "width", 3]),
    "size": ("tensor(int64)", [2]),
}
MASK = {"mask": ("tensor(uint8)", ["batch", "mask_height", "mask_width"])}
LOGITS = {"logits": ("tensor(float)", ["batch", 7, "mask_height", "mask_width"])}


# -- a trained model ------------------------------------------------------------------------------


def test_inputs_and_outputs_are_those_of_the_contract(exported_run: Path) -> None:
    session = on_cpu(str(RunFolder(exported_run).onnx))
    assert described(session.get_inputs()) == INPUTS
    assert described(session.get_outputs()) == MASK


def test_no_path_of_the_exporting_machine_is_in_the_file(exported_run: Path) -> None:
    model = onnx.load(RunFolder(exported_run).onnx)
    metadata = {entry.key for entry in model.metadata_props}
    del model.metadata_props[:]
    assert "config" in metadata
    text = model.SerializeToString()
    assert b"site-packages" not in text
    assert b"segmenter.py" not in text


@pytest.mark.parametrize(
    ("shape", "size"),
    [((1, 64, 64), (64, 64)), ((3, 97, 131), (33, 250)), ((1, 2, 300), (2, 2))],
)
def test_any_size_gives_the_mask_of_pytorch(
    exported_run: Path, shape: tuple[int, int, int], size: tuple[int, int]
) -> None:
    run = RunFolder(exported_run)
    segmenter = load_segmenter(load_checkpoint(run.best))
    images = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    session = on_cpu(str(run.onnx))
    (mask,) = session.run(None, {"images": images, "size": np.array(size)})
    with torch.inference_mode():
        expected = segmenter(torch.from_numpy(images), size).numpy()
    assert mask.dtype == np.uint8
    assert (mask == expected).mean() >= 0.9999


# -- a small one ----------------------------------------------------------------------------------


def test_the_logits_are_a_second_output(traced: Any) -> None:
    session = on_cpu(traced.SerializeToString())
    assert described(session.get_inputs()) == INPUTS
    assert described(session.get_outputs()) == MASK | LOGITS


@pytest.mark.parametrize(
    ("shape", "size"), [((1, 8, 16), (8, 16)), ((3, 13, 21), (30, 5)), ((1, 1, 1), (2, 2))]
)
def test_the_logits_are_those_of_pytorch(
    traced: Any, shape: tuple[int, int, int], size: tuple[int, int]
) -> None:
    images = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    session = on_cpu(traced.SerializeToString())
    mask, logits = session.run(None, {"images": images, "size": np.array(size)})
    with torch.inference_mode():
        expected = small_segmenter().eval().logits(torch.from_numpy(images), *size).numpy()
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert np.array_equal(mask, logits.argmax(axis=1))


def test_the_card_is_in_the_graph(traced: Any) -> None:
    metadata = {entry.key: entry.value for entry in traced.metadata_props}
    assert SegmenterCard.read(metadata, "synthetic.onnx") == CARD


def test_the_graph_has_the_requested_opset(traced: Any) -> None:
    assert {entry.domain: entry.version for entry in traced.opset_import}[""] == 18


def test_the_doc_strings_of_the_tracer_are_removed(traced: Any) -> None:
    noted = [*traced.graph.node, *traced.graph.value_info, *traced.graph.initializer]
    assert noted
    assert not any(part.doc_string or len(part.metadata_props) for part in noted)
    bare = onnx.ModelProto()
    bare.CopyFrom(traced)
    del bare.metadata_props[:]
    text = bare.SerializeToString()
    for origin in (__file__, "graph.py", "torch/", "pkg.torch"):
        assert origin.encode() not in text


def test_a_network_is_traced_in_evaluation_mode_without_in_place_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segmenter = small_segmenter().train()

    def stop(graph: nn.Module, *_: Any, **__: Any) -> NoReturn:
        assert not any(part.training for part in segmenter.modules())
        assert not any(getattr(part, "inplace", False) for part in graph.modules())
        raise KeyboardInterrupt

    monkeypatch.setattr(torch.onnx, "export", stop)
    with pytest.raises(KeyboardInterrupt):
        trace(segmenter, CARD)


def test_an_error_of_the_exporter_is_quoted_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> NoReturn:
        raise RuntimeError("no such\n  operator: " + "x" * 1000)

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(DlcvError) as caught:
        trace(small_segmenter(), CARD, 19)
    message = caught.value.message
    assert message.startswith("exporting synthetic to opset 19 failed: no such operator: xxx")
    assert len(message) == len("exporting synthetic to opset 19 failed: ") + 300


def test_a_network_that_cannot_be_traced_is_refused() -> None:
    class Looks(Small):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            # A graph cannot branch on values.
            return super().forward(x if x.sum() > 0 else -x)

    with pytest.raises(DlcvError, match="exporting synthetic to opset 18 failed: "):
        trace(Segmenter(Looks(), CARD.stride), CARD)


def test_a_graph_with_another_opset_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = helper.make_graph([], "g", [], [])
    other = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    program = SimpleNamespace(model_proto=other)
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: program)
    with pytest.raises(DlcvError) as caught:
        trace(small_segmenter(), CARD, 18)
    assert caught.value.message == "opset 18 was asked for and the exporter wrote 20"
    assert caught.value.hint == "use --opset 18 or newer"
