"""A traced few-shot model has inputs, outputs and card of the contract and PyTorch's values."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from dlcvcli.exporting.structure import check_structure
from dlcvcli.models.conv4 import Conv4
from dlcvcli.models.distances import build_distance
from dlcvcli.models.encoder import Encoder
from dlcvcli.models.protonet import ImageEncoder, ProtoNet
from dlcvcli.prototypes import prototypes_of, read_distance
from dlcvcli.tasks.fewshot.card import EPISODE, EncoderCard
from dlcvcli.tasks.fewshot.graph import trace_encoder, trace_episode

SIZE = (16, 33)
DISTANCES = ("euclidean", "cosine", "parametric")


class AnySize(Encoder):
    """A convolution and the mean over its map, as the encoders for any size have."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.act(self.norm(self.conv(x)))
        return maps.mean(dim=(2, 3))


def small(distance: Any = "euclidean", *, any_size: bool = False) -> ProtoNet:
    torch.manual_seed(0)
    encoder = AnySize() if any_size else Conv4(channels=4)
    images = ImageEncoder(encoder, (0.4, 0.5, 0.6), (0.2, 0.3, 0.1))
    return ProtoNet(images, build_distance(distance, encoder.dimension(SIZE), hidden=8)).eval()


def card_of(protonet: ProtoNet) -> EncoderCard:
    encoder = protonet.encoder.encoder
    return EncoderCard(
        "fewshot",
        # The minimum size of an encoder comes from the registry.
        "resnet12" if encoder.any_size else "conv4",
        encoder.dimension(SIZE),
        protonet.distance.spec(),
        size=SIZE,
        mean=(0.4, 0.5, 0.6),
        std=(0.2, 0.3, 0.1),
    )


def on_cpu(model: Any) -> Any:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def described(values: Any) -> dict[str, tuple[str, list[str | int]]]:
    return {value.name: (value.type, value.shape) for value in values}


def pixels(*shape: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_an_encoder_of_one_size_has_only_a_dynamic_batch() -> None:
    protonet = small()
    session = on_cpu(trace_encoder(protonet.encoder, card_of(protonet)))
    assert described(session.get_inputs()) == {"images": ("tensor(uint8)", ["batch", *SIZE, 3])}
    assert described(session.get_outputs()) == {"embedding": ("tensor(float)", ["batch", 8])}
    for count in (1, 2, 7):
        images = pixels(count, *SIZE)
        with torch.inference_mode():
            expected = protonet.encoder(torch.from_numpy(images)).numpy()
        close(session.run(None, {"images": images})[0], expected)


def test_an_encoder_for_any_size_accepts_other_sizes(tmp_path: Path) -> None:
    protonet = small(any_size=True)
    model = trace_encoder(protonet.encoder, card_of(protonet))
    session = on_cpu(model)
    assert described(session.get_inputs()) == {
        "images": ("tensor(uint8)", ["batch", "height", "width", 3])
    }
    assert described(session.get_outputs()) == {"embedding": ("tensor(float)", ["batch", 6])}
    for shape in ((1, 16, 16), (7, 33, 56), (2, 97, 41)):
        images = pixels(*shape)
        with torch.inference_mode():
            expected = protonet.encoder(torch.from_numpy(images)).numpy()
        close(session.run(None, {"images": images})[0], expected)
    path = tmp_path / "encoder.onnx"
    onnx.save(model, path)
    assert check_structure(path, ["images"], ["embedding"]) == {
        "onnx_checker": None, "no_training_nodes": None, "inputs_and_outputs": None
    }  # fmt: skip


@pytest.mark.parametrize("distance", DISTANCES)
def test_episode_logits_equal_those_of_pytorch_and_of_the_card(distance: str) -> None:
    protonet = small(distance, any_size=distance == "cosine")
    card = replace(card_of(protonet), graph=EPISODE)
    model = trace_episode(protonet, card)
    session = on_cpu(model)
    height, width = ("height", "width") if distance == "cosine" else SIZE
    assert described(session.get_inputs()) == {
        "support": ("tensor(uint8)", ["ways", "shots", height, width, 3]),
        "query": ("tensor(uint8)", ["queries", height, width, 3]),
    }
    assert described(session.get_outputs()) == {"logits": ("tensor(float)", ["queries", "ways"])}
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert EncoderCard.read(metadata, "synthetic.onnx") == card
    from_card = read_distance(json.loads(metadata["distance"]))
    for ways, shots, queries in ((5, 1, 9), (2, 5, 1), (7, 2, 4)):
        support, query = pixels(ways, shots, *SIZE), pixels(queries, *SIZE)
        logits = session.run(None, {"support": support, "query": query})[0]
        with torch.inference_mode():
            expected = protonet(torch.from_numpy(support)[None], torch.from_numpy(query)[None])[0]
            embedded_support = protonet.encoder(torch.from_numpy(support).flatten(0, 1)).numpy()
            embedded_queries = protonet.encoder(torch.from_numpy(query)).numpy()
        close(logits, expected.numpy())
        close(
            logits,
            from_card.logits(
                embedded_queries, prototypes_of(embedded_support.reshape(ways, shots, -1))
            ),
        )


def test_the_graph_has_the_card_and_no_path_of_this_machine() -> None:
    protonet = small()
    model = trace_encoder(protonet.encoder, card_of(protonet))
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert EncoderCard.read(metadata, "synthetic.onnx") == card_of(protonet)
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18
    del model.metadata_props[:]
    content = model.SerializeToString()
    for origin in (__file__, "protonet.py", "site-packages", "pkg.torch"):
        assert origin.encode() not in content
