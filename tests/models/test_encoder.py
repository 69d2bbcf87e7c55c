"""The contract of every encoder, and weights loaded from files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dlcvcli.errors import CheckpointError, UsageError
from dlcvcli.models.build import build_encoder, import_builder
from dlcvcli.models.encoder import Encoder
from dlcvcli.models.registry import model_entry, model_names
from tests.model_contract import images

NAMES = model_names("vectors")
DIMENSIONS = {
    "conv4": 1600,
    "resnet12": 640,
    "resnet18": 512,
    "resnet34": 512,
    "resnet50": 2048,
    "resnet101": 2048,
    "resnet9": 512,
    "vgg16": 4096,
    "mobilenet_v3_large": 960,
    "mobilenet_v3_small": 576,
    "efficientnet_b0": 1280,
    "convnext_tiny": 768,
}


def randomise_norms(encoder: nn.Module) -> None:
    """Give every BatchNorm random scales, shifts and statistics, in place."""
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, std=0.1)
            nn.init.normal_(part.running_mean, std=0.1)
            nn.init.uniform_(part.running_var, 0.5, 1.5)


def saved(encoder: nn.Module, folder: Path, prefix: str = "") -> str:
    path = folder / "weights.pt"
    torch.save({f"{prefix}{name}": value for name, value in encoder.state_dict().items()}, path)
    return str(path)


@pytest.mark.parametrize("name", NAMES)
def test_every_encoder_meets_the_contract(name: str) -> None:
    torch.manual_seed(0)
    encoder, entry = build_encoder(name), model_entry(name)
    assert isinstance(encoder, Encoder)
    assert encoder.training
    assert encoder.gives == entry.gives
    assert encoder.dimension((84, 84)) == DIMENSIONS[name]
    least = (entry.least_side, entry.least_side)
    assert (encoder.dimension(least) == DIMENSIONS[name]) == encoder.any_size
    assert encoder.torchvision_weights == (entry.weights[0] if entry.weights else "")
    with pytest.raises(TypeError, match="positional"):
        import_builder(entry.builder)("none")
    # In training every parameter gets a finite gradient.
    encoder(images(entry.min_train_batch + 1, 64, 64)).square().mean().backward()
    for parameter_name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
    # In evaluation an embedding does not depend on the other images of the batch.
    randomise_norms(encoder)
    batch = images(3, *least)
    with torch.no_grad():
        together, alone = encoder.eval()(batch), encoder(batch[1:2])
    assert together.shape == (3, encoder.dimension(least))
    assert together.dtype == torch.float32
    assert together.std(dim=0).max() > 0
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-4 * float(alone.abs().max()))


@pytest.mark.parametrize("training", [True, False])
def test_dimension_changes_nothing_in_the_encoder(training: bool) -> None:
    encoder = build_encoder("conv4", channels=4).train(training)
    encoder.blocks[0].eval()
    modes = [part.training for part in encoder.modules()]
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    assert encoder.dimension((40, 64)) == 4 * 2 * 4
    assert [part.training for part in encoder.modules()] == modes
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, before[name])
    # None of its tensors has become an inference tensor, which could not be trained.
    encoder(torch.rand(2, 3, 16, 16)).sum().backward()


@pytest.mark.parametrize(
    "prefix", ["", "encoder.", "protonet.encoder.encoder.", "network.encoder.encoder."]
)
def test_weights_are_loaded_from_a_file(prefix: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = build_encoder("conv4", channels=8)
    randomise_norms(source)
    filled = build_encoder("conv4", weights=saved(source, tmp_path, prefix), channels=8)
    report = filled.load_report
    assert report is not None
    assert (report.missing, report.left_over) == ((), ())
    x = images(2, 32, 32)
    with torch.no_grad():
        assert torch.equal(filled.eval()(x), source.eval()(x))


def test_file_of_another_encoder_is_refused(tmp_path: Path) -> None:
    path = saved(build_encoder("conv4", channels=8), tmp_path)
    with pytest.raises(CheckpointError, match="fits 0 of the 20"):
        build_encoder("conv4", weights=path, channels=16)
    with pytest.raises(CheckpointError, match="fits 0 of the"):
        build_encoder("resnet12", weights=path)
    with pytest.raises(CheckpointError, match="nowhere"):
        build_encoder("conv4", weights=str(tmp_path / "nowhere.pt"))


def test_file_of_a_deeper_or_shallower_network_is_refused(tmp_path: Path) -> None:
    # ResNet-18 and 34 have the same blocks, and so have the first layers of ResNet-50 and 101.
    path = saved(build_encoder("resnet34"), tmp_path, "network.encoder.encoder.")
    with pytest.raises(CheckpointError, match="100 tensors of the backbone ResNet18, and has 80"):
        build_encoder("resnet18", weights=path)
    path = saved(build_encoder("resnet18"), tmp_path)
    with pytest.raises(CheckpointError, match="fits 100 of the 180 tensors of the backbone"):
        build_encoder("resnet34", weights=path)
    with pytest.raises(CheckpointError, match="fits 77 of the 265") as caught:
        build_encoder("resnet50", weights=path)
    assert "'layer1.0.conv1.weight' is [64, 64, 1, 1] in the backbone" in caught.value.hint
    assert "[64, 64, 3, 3] in the file" in caught.value.hint


@pytest.mark.parametrize("name", ["conv4", "resnet9", "resnet12"])
def test_imagenet_is_refused_without_such_weights(name: str) -> None:
    with pytest.raises(UsageError, match="no ImageNet weights") as caught:
        build_encoder(name, weights="imagenet")
    assert "--weights" in caught.value.hint


def test_imagenet_means_the_first_weights_of_the_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    source = build_encoder("resnet18")
    randomise_norms(source)
    asked: list[str] = []

    def download(name: str) -> dict[str, Tensor]:
        asked.append(name)
        # Torchvision's weights include the classifier.
        return {**source.state_dict(), "fc.weight": torch.rand(1000, 512)}

    monkeypatch.setattr("dlcvcli.models.weights.download", download)
    filled = build_encoder("resnet18", weights="imagenet")
    assert asked == [model_entry("resnet18").weights[0]]
    assert filled.load_report is not None
    assert filled.load_report.left_over == ("fc.weight",)
    assert all(torch.equal(v, source.state_dict()[k]) for k, v in filled.state_dict().items())
