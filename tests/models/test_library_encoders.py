"""Any classifier of torchvision or timm as an encoder."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models

from dlcvcli.errors import CheckpointError, UsageError
from dlcvcli.models.build import build_encoder
from dlcvcli.models.encoder import Encoder
from dlcvcli.models.profile import build_on_meta
from dlcvcli.models.registry import model_entry
from tests.model_contract import images
from tests.models.test_encoder import randomise_norms

INCEPTIONS = ("googlenet", "inception_v3")
# A small one of each family.
FAMILIES = {
    "alexnet": 4096,
    "convnext_small": 768,
    "densenet121": 1024,
    "efficientnet_v2_s": 1280,
    "googlenet": 1024,
    "inception_v3": 2048,
    "maxvit_t": 512,
    "mnasnet0_5": 1280,
    "mobilenet_v2": 1280,
    "regnet_y_400mf": 440,
    "resnet152": 2048,
    "shufflenet_v2_x0_5": 1024,
    "squeezenet1_1": 512,
    "swin_t": 768,
    "swin_v2_t": 768,
    "vgg11_bn": 4096,
    "vit_b_32": 768,
}


@cache
def on_meta(name: str) -> Encoder:
    encoder = build_on_meta(name)
    assert isinstance(encoder, Encoder)
    return encoder


@pytest.mark.parametrize("name", FAMILIES)
def test_embedding_is_the_input_of_the_last_linear_layer(name: str) -> None:
    encoder, entry = on_meta(name), model_entry(name)
    size = entry.only_size or (entry.least_side, 96)
    assert encoder.dimension(size) == FAMILIES[name]
    assert encoder.torchvision_weights == entry.weights[0]
    assert encoder.only_size == entry.only_size
    assert not (encoder.any_size and entry.only_size)


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_have_torchvisions_names(name: str) -> None:
    heads = {"aux_logits": False, "init_weights": False} if name in INCEPTIONS else {}
    with torch.device("cpu" if name.startswith("regnet_") else "meta"):
        theirs = models.get_model(name, weights=None, **heads).state_dict()
    own = on_meta(name).feature_extractor.state_dict()
    assert own.keys() <= theirs.keys()
    assert all(own[key].shape == theirs[key].shape for key in own)
    # The layer that is left out has 1000 outputs.
    assert {theirs[key].shape[0] for key in theirs.keys() - own.keys()} == {1000}


@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "squeezenet1_1", "mnasnet0_5"])
def test_state_dicts_of_torchvision_give_its_features(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = models.get_model(name, weights=None)
    randomise_norms(theirs)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    encoder = build_encoder(name, weights=str(tmp_path / "theirs.pth")).eval()
    assert encoder.load_report is not None
    assert encoder.load_report.missing == ()
    assert len(encoder.load_report.left_over) == 2
    # The input of the layer that was removed.
    seen: list[torch.Tensor] = []
    kind = nn.Conv2d if name.startswith("squeeze") else nn.Linear
    *_, head = (part for part in theirs.modules() if isinstance(part, kind))
    head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = images(2, 70, 64)
    with torch.no_grad():
        theirs.eval()(x)
        own = encoder(x)
    expected = seen[0].mean(dim=(2, 3)) if seen[0].ndim == 4 else seen[0]
    assert float(expected.std()) > 0
    torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))
    # A checkpoint of dlcv has a prefix, and a network of another width does not fit.
    state = {f"network.encoder.encoder.{key}": value for key, value in encoder.state_dict().items()}
    torch.save({"task": state}, tmp_path / "run.pt")
    again = build_encoder(name, weights=str(tmp_path / "run.pt")).eval()
    with torch.no_grad():
        assert torch.equal(again(x), own)
    with pytest.raises(CheckpointError, match="fits 0 of the 100"):
        build_encoder("resnet18", weights=str(tmp_path / "run.pt"))


def test_batchnorm_has_momentum_for_short_runs() -> None:
    norms = [p for p in on_meta("mnasnet0_5").modules() if isinstance(p, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}


def test_size_that_a_network_does_not_take_is_refused() -> None:
    with pytest.raises(UsageError, match="vit_b_32 does not take images of 64x64"):
        on_meta("vit_b_32").dimension((64, 64))


def test_network_of_timm_is_an_encoder(tmp_path: Path) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    theirs = timm.create_model("test_resnet", num_classes=7)
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    encoder = build_encoder("timm/test_resnet", weights=str(tmp_path / "theirs.pth")).eval()
    x = images(2, 64, 64)
    with torch.no_grad():
        expected = theirs.eval().forward_head(theirs.forward_features(x), pre_logits=True)
        assert torch.equal(encoder(x), expected)
    assert not encoder.any_size
    config = timm.get_pretrained_cfg("test_resnet")
    assert (encoder.mean, encoder.std) == (config.mean, config.std)
    assert encoder.load_report is not None
    assert encoder.load_report.missing == ()


def test_weights_that_timm_cannot_load_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    timm = pytest.importorskip("timm")

    def offline(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(CheckpointError, match="timm/resnet18: timm cannot load its weights") as e:
        build_encoder("timm/resnet18", weights="imagenet")
    assert "--weights none" in e.value.hint
    monkeypatch.setattr(timm, "is_model_pretrained", lambda name: False)
    with pytest.raises(UsageError, match="timm has no weights for resnet18"):
        build_encoder("timm/resnet18", weights="imagenet")


@pytest.mark.parametrize("name", INCEPTIONS)
def test_inceptions_have_no_auxiliary_heads_and_their_own_normalisation(name: str) -> None:
    encoder = on_meta(name)
    assert not [key for key in encoder.state_dict() if "aux" in key.lower()]
    assert encoder.mean == encoder.std == (0.5, 0.5, 0.5)
