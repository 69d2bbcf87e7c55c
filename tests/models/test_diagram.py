"""The diagram of every network is complete and agrees with the network."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest

from dlcvcli.models.aspp import ASPP_DILATIONS
from dlcvcli.models.diagram import Diagram, measure
from dlcvcli.models.network import Network
from dlcvcli.models.observation import observe
from dlcvcli.models.profile import build_on_meta
from dlcvcli.models.registry import model_entry, model_names

CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in model_names()),
    ("deeplabv3_resnet50", {"auxiliary": True, "output_stride": 8}),
    ("deeplabv3plus_mobilenet_v3_large", {"output_stride": 8}),
]
ENCODERS = model_names("vectors")
DEEPLABS = [name for name in model_names("masks") if name.startswith("deeplab")]
# Blocks whose input is padded in `forward`.
PADDED = {"fc6"}
# Operations of the last blocks: logits, or an embedding.
OUTPUTS = {"output", "mean", "max", "flatten", "none"}


def built(name: str, options: dict[str, Any]) -> tuple[Network, Diagram]:
    network = build_on_meta(name, options=options)
    return network, network.diagram()


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_parameter_belongs_to_one_block(name: str, options: dict[str, Any]) -> None:
    network, diagram = built(name, options)
    modules = [network.get_submodule(path) for block in diagram.blocks for path in block.modules]
    drawn = [id(parameter) for module in modules for parameter in module.parameters()]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == {id(parameter) for parameter in network.parameters()}


@pytest.mark.parametrize(("name", "options"), CASES)
def test_data_flows_from_the_image_through_every_block_to_an_output(
    name: str, options: dict[str, Any]
) -> None:
    _, diagram = built(name, options)
    names = [block.name for block in diagram.blocks]
    assert len(set(names)) == len(names)
    assert len({(block.column, block.row) for block in diagram.blocks}) == len(names)
    known: set[str] = set()
    for block in diagram.blocks:
        assert set(block.after) <= known
        assert bool(block.after) == (block.name != "image")
        assert set(block.vertical) <= set(block.after)
        known.add(block.name)
    ends = {block.name for block in diagram.blocks if block.operation in OUTPUTS}
    assert set(names) - {source for source, _ in diagram.edges} == ends
    assert ("embedding" if name in ENCODERS else "logits") in ends


@pytest.mark.parametrize(("name", "options"), CASES)
def test_shapes_are_those_that_the_modules_meet(name: str, options: dict[str, Any]) -> None:
    network, diagram = built(name, options)
    size = (200, 331)  # a multiple of no stride
    facts = measure(network, diagram, size)
    seen = observe(network, size, training=True)
    for block in diagram.blocks:
        if not block.modules:
            continue
        actual, drawn = seen.inputs[block.modules[0]], facts[block.after[0]].shape
        assert actual[0] == drawn[0]
        # FCNs also pad the image, to a multiple of 32.
        if block.name not in PADDED and not (block.after == ("image",) and "fcn" in name):
            assert actual == drawn
    outputs = {"logits": "out", "auxiliary logits": "aux", "embedding": "out"}
    ends = [block.name for block in diagram.blocks if block.operation in OUTPUTS]
    assert {outputs[end] for end in ends} == seen.outputs.keys()
    for end in ends:
        assert facts[end].shape == tuple(seen.outputs[outputs[end]].shape[1:])
        assert name in ENCODERS or facts[end].shape == (21, *size)


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize("name", DEEPLABS)
def test_strides_and_dilations_are_measured(name: str, stride: int) -> None:
    network, diagram = built(name, {"output_stride": stride})
    facts = measure(network, diagram, (333, 77))
    stages = [facts[block.name] for block in diagram.blocks if block.kind == "backbone"]
    assert len(stages) == 5
    assert stages[-1].stride == stride
    assert [stage.stride for stage in stages] == sorted(stage.stride for stage in stages)
    assert stages[-1].dilation == 32 // stride
    dilations = tuple(facts[f"aspp.atrous.{index}"].dilation for index in range(3))
    assert dilations == ASPP_DILATIONS[stride]
    assert facts["full"].enlarges == (4 if "plus" in name else stride)


@pytest.mark.parametrize("name", ENCODERS)
def test_last_stage_of_an_encoder_has_the_stride_of_its_entry(name: str) -> None:
    network, diagram = built(name, {})
    facts = measure(network, diagram, (77, 84))
    *_, last, embedding = (facts[block.name] for block in diagram.blocks)
    # The stride of a vector is that of the image.
    *_, deepest = (fact for fact in facts.values() if len(fact.shape) == 3)
    assert deepest.stride == model_entry(name).stride
    assert embedding.shape[0] == (prod(last.shape) if name == "conv4" else last.shape[0])


def test_blocks_list_their_operations() -> None:
    facts = {}
    names = ("deeplabv3plus_resnet101", "deeplabv3plus_mobilenet_v2", "fcn8s_vgg16")
    for name in (*names, *ENCODERS):
        blocks = measure(*built(name, {}), (512, 512))
        facts |= {f"{name} {block}": fact.operations for block, fact in blocks.items()}
    assert facts["deeplabv3plus_resnet101 stage1"] == "7×7, max pool"
    assert facts["deeplabv3plus_resnet101 stage4"] == "23 × bottleneck"
    assert facts["deeplabv3plus_resnet101 aspp.atrous.1"] == "3×3 dilation 12"
    assert facts["deeplabv3plus_resnet101 aspp.image"] == "mean, 1×1"
    assert facts["deeplabv3plus_mobilenet_v2 aspp.atrous.2"] == "3×3 separable dilation 18"
    assert facts["deeplabv3plus_mobilenet_v2 refine"] == "2 × 3×3 separable"
    assert facts["fcn8s_vgg16 stage3"] == "3 × 3×3, max pool"
    assert facts["fcn8s_vgg16 upscore"] == "deconvolution"
    assert facts["fcn8s_vgg16 image"] == ""
    assert facts["conv4 stage4"] == "3×3, max pool"
    assert facts["resnet12 stage2"] == "3 × 3×3 beside 1×1, max pool"
    assert facts["resnet34 stage4"] == "6 × basic block"
    assert facts["resnet50 stage5"] == "3 × bottleneck"
    assert facts["resnet9 stage2"] == "3×3, max pool, residual of 2 × 3×3"
    assert facts["vgg16 stage6"] == "mean of bins, flatten"
    assert facts["vgg16 stage8"] == "linear"
    assert facts["efficientnet_b0 stage1"] == "3×3, MBConv"
    assert facts["convnext_tiny stage2"] == "norm, 2×2, 3 × ConvNeXt block"
    assert facts["mobilenet_v3_large stage5"] == "3 × inv. residual, 1×1"


@pytest.mark.parametrize(
    ("name", "size", "dimension"), [("densenet121", (64, 96), 1024), ("vit_b_32", (224, 224), 768)]
)
def test_network_of_a_library_is_drawn_by_its_parts(
    name: str, size: tuple[int, int], dimension: int
) -> None:
    network, diagram = built(name, {})
    facts = measure(network, diagram, size)
    assert facts["embedding"].shape == (dimension,)
    titles = [block.title for block in diagram.blocks]
    assert ("features.denseblock4" if name == "densenet121" else "encoder") in titles
