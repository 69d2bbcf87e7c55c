"""Torchvision's networks as encoders: the same parameter names, the same values."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from dlcvcli.models.build import build_encoder
from tests.model_contract import images
from tests.models.test_encoder import randomise_norms

NAMES = ("resnet18", "resnet34", "resnet50", "mobilenet_v3_large")


@pytest.mark.parametrize("name", NAMES)
def test_parameter_names_and_embeddings_are_torchvisions(name: str) -> None:
    torch.manual_seed(0)
    classifier = getattr(models, name)(weights=None)
    randomise_norms(classifier)
    head = "classifier." if name.startswith("mobilenet") else "fc."
    theirs = classifier.state_dict()
    encoder = build_encoder(name)
    own = encoder.state_dict()
    assert own.keys() == {key for key in theirs if not key.startswith(head)}
    encoder.load_state_dict({key: theirs[key] for key in own})
    setattr(classifier, head.removesuffix("."), nn.Identity())
    x = images(2, 70, 64)
    with torch.no_grad():
        expected = classifier.eval()(x)
        embedding = encoder.eval()(x)
    assert float(expected.std()) > 0
    torch.testing.assert_close(
        embedding, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max())
    )


@pytest.mark.parametrize("name", NAMES)
def test_batchnorm_has_momentum_for_short_runs(name: str) -> None:
    norms = [part for part in build_encoder(name).modules() if isinstance(part, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.1}
