"""A graph that differs from its card is refused when it is opened."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dlcvcli.errors import ModelFileError
from dlcvcli.palette import PRESETS
from dlcvcli.prototypes import packed
from dlcvcli.runtime.session import Session
from dlcvcli.tasks.fewshot.card import EPISODE, EncoderCard
from dlcvcli.tasks.segmentation.card import SegmenterCard

SEG = SegmenterCard("seg", "synthetic", PRESETS["landcover7"], 16)
FEW = EncoderCard("fewshot", "synthetic", 8, {"name": "euclidean"}, size=(16, 16))


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


def test_the_graph_of_the_card_is_accepted() -> None:
    for session in (segmenter(), segmenter(7), segmenter(7, logits(7)), segmenter(7, logits("c"))):
        SEG.require_graph(session, "x")
    fixed = Value("images", "uint8", [1, 32, 48, 3])
    replace(SEG, size=(32, 48)).require_graph(segmenter(images=fixed), "x")
    for session in (encoder(), encoder("d", "h")):
        FEW.require_graph(session, "x")


@pytest.mark.parametrize(
    ("session", "message"),
    [
        (segmenter(6), "x has 6 classes, and its metadata names 7"),
        (segmenter(7, logits(21)), r"has 'logits' as float .* promises float \['any', 7"),
        (segmenter(7, logits(7, "int64")), "has 'logits' as int64"),
        (segmenter(mask="y"), r"it has no 'mask' \(it has y\)"),
        (segmenter(images=Value("images", "float", ["n", "h", "w", 3])), "has 'images' as float"),
        (segmenter(images=Value("images", "uint8", ["n", 3, 8, 8])), "has 'images' as uint8"),
        (segmenter(images=Value("images", "uint8", ["n", "h", "w"])), "has 'images' as uint8"),
        (segmenter(images=Value("input", "uint8", ["n", "h", "w", 3])), "has no 'images'"),
    ],
)
def test_another_graph_is_refused(session: Session, message: str) -> None:
    with pytest.raises(ModelFileError, match=message) as caught:
        SEG.require_graph(session, "x")
    assert caught.value.hint


def test_another_size_than_that_of_a_fixed_graph_is_refused() -> None:
    fixed = Value("images", "uint8", [1, 32, 48, 3])
    with pytest.raises(ModelFileError, match="has 'images'"):
        replace(SEG, size=(32, 32)).require_graph(segmenter(images=fixed), "x")


@pytest.mark.parametrize(
    ("session", "card", "message"),
    [
        (encoder(9), FEW, "has 'embedding'"),
        (encoder(8, 28), FEW, "has 'images'"),
        (encoder(), replace(FEW, size=None), "has no 'size'"),
        (encoder(), replace(FEW, graph=EPISODE), "takes complete episodes"),
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
def test_another_encoder_is_refused(session: Session, card: EncoderCard, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        card.require_graph(session, "x")
