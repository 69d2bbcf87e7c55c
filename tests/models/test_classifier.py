"""A classifier: logits and features, precision, and inputs that are normalised already."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dlcvcli.models.build import build_encoder
from dlcvcli.models.classifier import Classifier
from dlcvcli.models.image_encoder import ImageEncoder
from tests.models.test_encoder import randomise_norms


def built(dropout: float = 0.0) -> Classifier:
    torch.manual_seed(0)
    encoder = build_encoder("conv4", channels=8)
    randomise_norms(encoder)
    image_encoder = ImageEncoder(encoder, (0.4, 0.5, 0.6), (0.2, 0.3, 0.1))
    return Classifier(image_encoder, 5, encoder.dimension((16, 32)), dropout=dropout)


def images() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (3, 16, 32, 3), generator=generator, dtype=torch.uint8)


def test_logits_are_a_linear_map_of_the_features() -> None:
    classifier = built().eval()
    with torch.no_grad():
        logits, features = classifier.outputs(images())
        assert torch.equal(classifier(images()), logits)
        assert torch.equal(classifier.features(images()), features)
    assert (logits.shape, features.shape) == ((3, 5), (3, 16))
    expected = features @ classifier.head.weight.T + classifier.head.bias
    torch.testing.assert_close(logits, expected)
    assert float(features.std()) > 0


def test_normalised_images_have_the_same_logits() -> None:
    classifier = built().eval()
    with torch.no_grad():
        x = classifier.encoder.normalise(images())
        assert torch.equal(classifier.forward_normalised(x), classifier(images()))


def test_names_are_those_of_the_encoder_and_the_head() -> None:
    names = {name.rpartition(".")[0] for name in built().state_dict()}
    assert {name.partition(".blocks.")[0] for name in names} == {"encoder.encoder", "head"}


def test_only_the_encoder_runs_in_half_precision() -> None:
    classifier = built().eval()
    with torch.no_grad():
        exact = classifier(images())
        with torch.autocast("cpu", torch.bfloat16):
            logits, features = classifier.outputs(images())
            assert classifier.forward_normalised(torch.rand(2, 3, 16, 32)).dtype == torch.float32
            # The head does not round: in bfloat16, 1000 + 1 is 1000.
            classifier.head.weight.fill_(1.0)
            classifier.head.bias.zero_()
            row = torch.zeros(1, 16)
            row[0, :2] = torch.tensor([1000.0, 1.0])
            assert classifier._classify(row)[0, 0] == 1001
    assert logits.dtype == features.dtype == torch.float32
    assert not torch.equal(logits, exact)
    torch.testing.assert_close(logits, exact, rtol=0.1, atol=0.1)


def test_dropout_changes_the_logits_in_training_only() -> None:
    classifier = built(dropout=0.5).train()
    classifier.encoder.eval()
    features = classifier.features(images())
    assert not torch.equal(classifier(images()), classifier(images()))
    assert torch.equal(classifier.features(images()), features)
    classifier.eval()
    assert torch.equal(classifier(images()), classifier.head(features))


@pytest.mark.parametrize("classes", [1, 2, 1000])
def test_there_is_a_logit_for_every_class(classes: int) -> None:
    classifier = Classifier(ImageEncoder(build_encoder("conv4", channels=4)), classes, 4)
    assert classifier(images()[:, :, :16]).shape == (3, classes)
