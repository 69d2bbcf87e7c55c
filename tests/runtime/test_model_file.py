"""Inspecting an ONNX file detects changes and returns its number of classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dlcvcli.errors import ModelFileError
from dlcvcli.runs import RunFolder
from dlcvcli.runtime.model_file import DIGEST, inspect_file, with_digest
from dlcvcli.runtime.session import open_session, read_metadata


def tiny_model(weight: Any = None, *, shape: list[Any] | None = None, **metadata: str) -> bytes:
    """Return a model that scales its input, resizes it by 1 and takes the largest channel."""
    weight = np.ones((1, 5, 1, 1), np.float32) if weight is None else np.asarray(weight)
    shape = ["n", 5, "h", "w"] if shape is None else shape
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = helper.make_tensor_value_info("y", TensorProto.INT64, ["n", "h", "w"])
    kind = helper.np_dtype_to_tensor_dtype(weight.dtype)
    nodes = [
        helper.make_node("Cast", ["w"], ["w32"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "w32"], ["m"]),
        helper.make_node("Resize", ["m", "", "scales"], ["logits"]),
        helper.make_node("ArgMax", ["logits"], ["y"], axis=1, keepdims=0),
    ]
    between = helper.make_tensor_value_info("m", TensorProto.FLOAT, shape)
    scales = numpy_helper.from_array(np.ones(4, np.float32), "scales")
    graph = helper.make_graph(
        nodes,
        "g",
        [x],
        [y],
        [helper.make_tensor("w", kind, weight.shape, weight.tobytes(), raw=True), scales],
        value_info=[between],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, metadata)
    return bytes(model.SerializeToString())


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    return path


def test_metadata_equals_that_of_onnx_and_the_file_is_valid(tmp_path: Path) -> None:
    path = written(tmp_path, with_digest(tiny_model(task="seg", names="ä, ö")))
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    facts = inspect_file(path)
    assert facts.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert facts.metadata == open_session(path, "cpu").metadata == read_metadata(path)
    assert facts.metadata.keys() == {"task", "names", DIGEST}


@settings(deadline=None)
@given(st.data())
def test_a_flipped_bit_outside_of_the_digest_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    plain = tiny_model(task="seg")
    content = bytearray(with_digest(plain))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path = written(tmp_path_factory.getbasetemp(), bytes(content))
    try:
        inspect_file(path)
    except (ModelFileError, ValueError):
        return
    # Only the entry of the digest itself can become unreadable.
    assert place >= len(plain)


def test_a_file_of_an_older_version_without_a_digest_still_opens(tmp_path: Path) -> None:
    path = written(tmp_path, tiny_model(task="seg"))
    assert inspect_file(path).metadata == {"task": "seg"}
    assert open_session(path, "cpu").channels == 5


@pytest.mark.parametrize("key", ["class_set", "new"])
def test_edited_metadata_is_refused(exported_run: Path, tmp_path: Path, key: str) -> None:
    model = onnx.load(RunFolder(exported_run).onnx)
    props = {entry.key: entry.value for entry in model.metadata_props}
    helper.set_model_props(model, {**props, key: props["class_set"].replace("urban", "rural")})
    path = tmp_path / "edited.onnx"
    onnx.save(model, path)
    for use in (lambda: open_session(path, "cpu"), lambda: read_metadata(path)):
        with pytest.raises(
            ModelFileError, match=r"edited\.onnx was changed after its exp"
        ) as caught:
            use()
        assert f"delete the key '{DIGEST}'" in caught.value.hint
    helper.set_model_props(model, props | {key: "x"})
    model.metadata_props.remove(next(e for e in model.metadata_props if e.key == DIGEST))
    onnx.save(model, path)
    assert read_metadata(path)[key] == "x"


def test_a_damaged_weight_of_an_exported_file_is_refused(
    exported_run: Path, tmp_path: Path
) -> None:
    content = bytearray(RunFolder(exported_run).onnx.read_bytes())
    weight = max(
        onnx.load_from_string(bytes(content)).graph.initializer, key=lambda w: w.ByteSize()
    )
    content[content.index(weight.raw_data) + 401] ^= 4
    with pytest.raises(ModelFileError, match="was changed after its export: its weights"):
        open_session(written(tmp_path, bytes(content)), "cpu")


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_not_finite_is_refused_by_its_name(
    tmp_path: Path, kind: Any, bad: float
) -> None:
    weight = np.ones((1, 5, 1, 1), kind)
    inspect_file(written(tmp_path, tiny_model(weight)))
    weight[0, 3] = bad
    with pytest.raises(ModelFileError, match="its weight 'w' is not finite"):
        open_session(written(tmp_path, tiny_model(weight)), "cpu")


def test_weights_in_the_typed_fields_are_checked_too(tmp_path: Path) -> None:
    model = onnx.load_from_string(tiny_model())
    tensor = helper.make_tensor("w", TensorProto.FLOAT, (1, 2), [1.0, float("nan")])
    assert not tensor.raw_data
    model.graph.initializer.append(tensor)
    with pytest.raises(ModelFileError, match="not finite"):
        inspect_file(written(tmp_path, model.SerializeToString()))


def test_a_single_number_may_be_an_infinite_bound(tmp_path: Path) -> None:
    inspect_file(written(tmp_path, tiny_model(np.float32(-np.inf))))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda model: None, 5),
        (lambda model: model.graph.ClearField("value_info"), None),
        (lambda model: model.graph.node.pop(), None),
    ],
)
def test_the_channels_are_those_before_argmax(
    tmp_path: Path, change: Callable[[Any], Any], expected: int | None
) -> None:
    model = onnx.load_from_string(tiny_model())
    change(model)
    assert inspect_file(written(tmp_path, model.SerializeToString())).channels == expected


def test_dynamic_channels_are_unknown(tmp_path: Path) -> None:
    assert inspect_file(written(tmp_path, tiny_model(shape=["n", "c", "h", "w"]))).channels is None


def test_the_channels_of_an_exported_segmenter_are_its_classes(exported_run: Path) -> None:
    assert inspect_file(RunFolder(exported_run).onnx).channels == 7


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = written(tmp_path_factory.getbasetemp(), content)
    try:
        inspect_file(path)
    except (ModelFileError, ValueError):
        return
