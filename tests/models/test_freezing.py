"""Blocks of encoders, frozen blocks and learning rates from block to block."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dlcvcli.errors import UsageError
from dlcvcli.models.averaging import averaged_copy, update_average
from dlcvcli.models.build import build_encoder
from dlcvcli.models.classifier import Classifier
from dlcvcli.models.encoder import Encoder
from dlcvcli.models.freezing import ALL, block_names, freeze, layer_scales
from dlcvcli.models.image_encoder import ImageEncoder
from dlcvcli.models.observation import in_mode
from dlcvcli.models.profile import build_on_meta

RESNET50_BLOCKS = (
    "conv1",
    *("layer1", "layer1.0", "layer1.1", "layer1.2"),
    *("layer2", "layer2.0", "layer2.1", "layer2.2", "layer2.3"),
    *("layer3", *(f"layer3.{index}" for index in range(6))),
    *("layer4", "layer4.0", "layer4.1", "layer4.2"),
)
# Of ResNet-50: the stem with its BatchNorm, then the four layers.
RESNET50_COUNTS = (9_536, 215_808, 1_219_584, 7_098_368, 14_964_736)


def meta(name: str) -> Encoder:
    encoder = build_on_meta(name)
    assert isinstance(encoder, Encoder)
    return encoder


def trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def resnet18() -> Encoder:
    torch.manual_seed(0)
    return build_encoder("resnet18")


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("resnet50", RESNET50_BLOCKS),
        ("conv4", ("blocks", *(f"blocks.{index}" for index in range(4)))),
        ("resnet9", ("stem", "layer1", "layer1.0", "layer1.1", "layer2", "layer3", "layer3.0")),
        ("mobilenet_v3_small", ("features", *(f"features.{index}" for index in range(13)))),
        ("efficientnet_b0", ("features", "features.0", "features.1", "features.2", "features.2.0")),
        ("convnext_tiny", ("features", "features.0", "features.1", "features.1.0")),
        ("vgg11_bn", ("features", "features.0", "features.4", "features.8", "features.11")),
        ("densenet121", ("features", "features.conv0", "features.denseblock1")),
        ("regnet_y_400mf", ("stem", "trunk_output", "trunk_output.block1", "trunk_output.block2")),
        ("swin_t", ("features", "features.0", "features.1", "features.1.0", "features.1.1")),
        ("vit_b_32", ("conv_proj", "encoder", "encoder.layers", "encoder.layers.encoder_layer_0")),
    ],
)
def test_blocks_have_the_names_of_the_library(name: str, blocks: tuple[str, ...]) -> None:
    assert block_names(meta(name))[: len(blocks)] == blocks


@pytest.mark.parametrize(
    ("up_to", "frozen"),
    [
        ("conv1", 0),
        ("layer1", RESNET50_COUNTS[0]),
        ("layer2", sum(RESNET50_COUNTS[:2])),
        ("layer3", sum(RESNET50_COUNTS[:3])),
        ("layer3.0", sum(RESNET50_COUNTS[:3])),
        ("layer4", sum(RESNET50_COUNTS[:4])),
        (ALL, 23_508_032),
    ],
)
def test_resnet50_has_the_counts_by_hand(up_to: str, frozen: int) -> None:
    assert sum(RESNET50_COUNTS) == 23_508_032
    encoder = meta("resnet50")
    classifier = Classifier(ImageEncoder(encoder), 65, 2048)
    head = 2048 * 65 + 65
    assert trainable(classifier) == 23_508_032 + head
    assert freeze(encoder, up_to) == frozen
    assert trainable(classifier) == 23_508_032 - frozen + head
    names = [name for name, p in encoder.named_parameters() if not p.requires_grad]
    first = "" if up_to == ALL else f"{up_to}."
    assert not [name for name in names if first and name.startswith(first)]


@pytest.mark.parametrize("name", ["conv4", "mobilenet_v3_small", "vit_b_32", "densenet121"])
def test_every_weight_before_the_block_is_frozen_and_none_after(name: str) -> None:
    block = block_names(meta(name))[-2]
    encoder = meta(name)
    freeze(encoder, block)
    flags = [p.requires_grad for p in encoder.parameters()]
    assert flags == sorted(flags)
    first = next(encoder.feature_extractor.get_submodule(block).parameters())
    before = [p for p in encoder.parameters() if not p.requires_grad]
    assert next(p for p in encoder.parameters() if p.requires_grad) is first
    assert len(before) + sum(flags) == len(list(encoder.parameters()))


def test_unknown_block_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match="no block 'layer33'") as caught:
        freeze(meta("resnet18"), "layer33")
    assert caught.value.hint == "did you mean 'layer3'?"


def test_frozen_norms_keep_their_statistics_in_training_and_in_copies() -> None:
    encoder = resnet18()
    freeze(encoder, "layer3.1")
    classifier = Classifier(ImageEncoder(encoder), 3, 512)
    for network in (classifier, copy.deepcopy(classifier)):
        before = {name: value.clone() for name, value in network.state_dict().items()}
        network.eval()
        network.train()
        network(torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)).sum().backward()
        changed = {
            name
            for name, value in network.state_dict().items()
            if "running_mean" in name and not torch.equal(value, before[name])
        }
        norms = [name for name in before if "running_mean" in name]
        assert changed == set(norms[norms.index("encoder.encoder.layer3.1.bn1.running_mean") :])
        gradients = [name for name, p in network.named_parameters() if p.grad is not None]
        assert gradients[0] == "encoder.encoder.layer3.1.conv1.weight"


def test_complete_encoder_is_frozen_with_its_dropout() -> None:
    encoder = build_encoder("resnet12", dropout=0.5)
    classifier = Classifier(ImageEncoder(encoder), 3, 640).train()
    freeze(encoder, ALL)
    assert classifier.training
    assert not [part for part in encoder.modules() if part.training]
    with in_mode(classifier, training=True):
        assert not encoder.training
    x = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(classifier.features(x), classifier.features(x))


def test_average_of_a_frozen_network_follows_its_head() -> None:
    encoder = build_encoder("conv4", channels=4)
    freeze(encoder, ALL)
    classifier = Classifier(ImageEncoder(encoder), 3, 16)
    average = averaged_copy(classifier)
    nn.init.ones_(classifier.head.bias)
    update_average(average, classifier, decay=0.5, step=100)
    assert not average.training
    assert float(average.head.bias.mean()) > 0.3
    assert torch.equal(average.encoder.encoder.blocks[0][0].weight, encoder.blocks[0][0].weight)


def test_learning_rates_fall_from_the_last_block_to_the_first() -> None:
    encoder = meta("resnet18")
    scales = layer_scales(encoder, 0.5)
    assert [name for name, _, _ in scales] == [
        "conv1",
        *(f"layer{layer}.{block}" for layer in range(1, 5) for block in range(2)),
    ]
    assert [scale for _, _, scale in scales] == [0.5**power for power in range(9, 0, -1)]
    # The stem's BatchNorm belongs to the stem.
    assert [p.shape for p in scales[0].parameters] == [(64, 3, 7, 7), (64,), (64,)]
    freeze(encoder, "layer4")
    assert [(name, scale) for name, _, scale in layer_scales(encoder, 0.5)] == [
        ("layer4.0", 0.25),
        ("layer4.1", 0.5),
    ]


@pytest.mark.parametrize("name", ["resnet12", "vgg16", "convnext_tiny", "vit_b_32", "googlenet"])
def test_every_parameter_has_one_learning_rate(name: str) -> None:
    encoder = meta(name)
    scales = layer_scales(encoder, 0.75)
    grouped = [id(p) for _, parameters, _ in scales for p in parameters]
    assert grouped == [id(p) for p in encoder.parameters()]
    assert scales[-1].scale == 0.75


def test_blocks_of_a_network_of_timm() -> None:
    pytest.importorskip("timm")
    encoder = meta("timm/vit_tiny_patch16_224")
    assert block_names(encoder)[:3] == ("patch_embed", "blocks", "blocks.0")
    freeze(encoder, "blocks.11")
    names = [name for name, p in encoder.named_parameters() if p.requires_grad]
    assert names[0] == "net.blocks.11.norm1.weight"
    assert names[-1] == "net.norm.bias"
