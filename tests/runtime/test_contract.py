"""A graph that is not what its card promises is refused when it is opened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dlcvcli.errors import ModelFileError
from dlcvcli.palette import PRESETS
from dlcvcli.prototypes import packed
from dlcvcli.runtime.contract import require_encoder, require_segmenter
from dlcvcli.runtime.session import Session
from dlcvcli.tasks.fewshot.card import EncoderCard
from dlcvcli.tasks.segmentation.card import SegmenterCard

SEG = SegmenterCard("seg", "made", PRESETS["landcover7"], 16)
FEW = EncoderCard("fewshot", "made", 8, {"name": "euclidean"}, size=(16, 16))


class Value:
    """An input or output as ONNX Runtime describes it."""

    def __init__(self, name: str, kind: str, shape: list[Any]) -> None:
        self.name = name
        self.type = f"tensor({kind})"
        self.shape = shape


class Graph:
    """The inputs and outputs of a session."""

    def __init__(self, inputs: list[Value], outputs: list[Value]) -> None:
        self.get_inputs = lambda: inputs
        self.get_outputs = lambda: outputs


def segmenter(
    channels: int | None = None, *extra: Value, images: Value | None = None, mask: str = "mask"
) -> Session:
    inputs = [
        images or Value("images", "uint8", ["n", "h", "w", 3]),
        Value("size", "int64", [2]),
    ]
    outputs = [Value(mask, "uint8", ["n", None, None]), *extra]
    return Session(Graph(inputs, outputs), "CPUExecutionProvider", "", {}, channels)


def encoder(dimension: Any = 8, side: Any = 16) -> Session:
    inputs = [Value("images", "uint8", ["n", side, side, 3])]
    outputs = [Value("embedding", "float", ["n", dimension])]
    return Session(Graph(inputs, outputs), "CPUExecutionProvider", "", {})


def logits(classes: Any, kind: str = "float") -> Value:
    return Value("logits", kind, ["n", classes, "h", "w"])


def test_what_the_card_promises_is_taken() -> None:
    for session in (segmenter(), segmenter(7), segmenter(7, logits(7)), segmenter(7, logits("c"))):
        require_segmenter(session, SEG, "x")
    fixed = Value("images", "uint8", [1, 32, 48, 3])
    require_segmenter(segmenter(images=fixed), replace(SEG, size=(32, 48)), "x")
    for found in (encoder(), encoder("d", "h")):
        require_encoder(found, FEW, "x")


@pytest.mark.parametrize(
    ("session", "says"),
    [
        (segmenter(6), "x tells apart 6 classes, and its metadata names 7"),
        (segmenter(7, logits(21)), r"has 'logits' as float .* promises float \['any', 7"),
        (segmenter(7, logits(7, "int64")), "has 'logits' as int64"),
        (segmenter(mask="y"), r"it has no 'mask' \(found y\)"),
        (segmenter(images=Value("images", "float", ["n", "h", "w", 3])), "has 'images' as float"),
        (segmenter(images=Value("images", "uint8", ["n", 3, 8, 8])), "has 'images' as uint8"),
        (segmenter(images=Value("images", "uint8", ["n", "h", "w"])), "has 'images' as uint8"),
        (segmenter(images=Value("input", "uint8", ["n", "h", "w", 3])), "has no 'images'"),
    ],
)
def test_another_graph_is_refused(session: Session, says: str) -> None:
    with pytest.raises(ModelFileError, match=says) as caught:
        require_segmenter(session, SEG, "x")
    assert caught.value.hint


def test_another_size_than_that_of_a_fixed_graph_is_refused() -> None:
    fixed = Value("images", "uint8", [1, 32, 48, 3])
    with pytest.raises(ModelFileError, match="has 'images'"):
        require_segmenter(segmenter(images=fixed), replace(SEG, size=(32, 32)), "x")


@pytest.mark.parametrize(
    ("session", "card", "says"),
    [
        (encoder(9), FEW, "has 'embedding'"),
        (encoder(8, 28), FEW, "has 'images'"),
        (encoder(), replace(FEW, size=None), "has no 'size'"),
        (
            encoder(),
            replace(FEW, distance={"name": "parametric", "weights": {}}),
            "distance in its dlcv metadata does not fit embeddings of 8 values",
        ),
        (
            encoder(),
            replace(
                FEW,
                distance={
                    "name": "parametric",
                    "weights": {
                        "of_query.weight": packed(np.ones((2, 5), np.float32)),
                        "of_query.bias": packed(np.ones(2, np.float32)),
                        "of_prototype.weight": packed(np.ones((2, 5), np.float32)),
                    },
                },
            ),
            "does not fit",
        ),
    ],
)
def test_another_encoder_is_refused(session: Session, card: EncoderCard, says: str) -> None:
    with pytest.raises(ModelFileError, match=says):
        require_encoder(session, card, "x")
