"""The loss of classification: cross-entropy, weights, mixup and CutMix, groups of parameters."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dlcvcli.models.build import build_encoder
from dlcvcli.models.classifier import Classifier
from dlcvcli.models.freezing import freeze
from dlcvcli.models.image_encoder import ImageEncoder
from dlcvcli.tasks.classification.task import ClassificationTask, cutmix, mixup


def classifier(name: str = "resnet9", classes: int = 3, frozen: str | None = None) -> Classifier:
    torch.manual_seed(0)
    options = {"channels": 4} if name == "resnet9" else {}
    encoder = build_encoder(name, **options)
    if frozen is not None:
        freeze(encoder, frozen)
    return Classifier(ImageEncoder(encoder), classes, encoder.dimension((32, 32)))


def batch(count: int = 6) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=generator)
    return {"images": images, "labels": torch.arange(count) % 3}


def test_the_loss_is_the_mean_cross_entropy() -> None:
    task, data = ClassificationTask(classifier(), label_smoothing=0.1).eval(), batch()
    loss = task(data, task.count_terms(data))["loss"]
    logits = task.network(data["images"])
    expected = F.cross_entropy(logits, data["labels"], label_smoothing=0.1)
    torch.testing.assert_close(loss, expected)


def test_class_weights_are_those_of_pytorch_over_the_complete_batch() -> None:
    weights = (1.0, 0.5, 3.0)
    task, data = ClassificationTask(classifier(), class_weights=weights).eval(), batch()
    normaliser = task.count_terms(data)
    parts = [{key: value[rows] for key, value in data.items()} for rows in ([0, 1], [2, 3, 4, 5])]
    loss = sum(task(part, normaliser)["loss"] for part in parts)
    logits = task.network(data["images"])
    expected = F.cross_entropy(logits, data["labels"], weight=torch.tensor(weights))
    torch.testing.assert_close(loss, expected)


def test_mixup_blends_each_image_with_its_partner() -> None:
    images = torch.rand(5, 3, 8, 8)
    mixed = mixup(images, 0.7)
    torch.testing.assert_close(mixed.images, 0.7 * images + 0.3 * images[mixed.others])
    assert sorted(mixed.others.tolist()) == list(range(5))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_cutmix_counts_the_pixels_that_are_left(share: float) -> None:
    images = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 20, 30)
    for seed in range(5):
        torch.manual_seed(seed)
        mixed = cutmix(images, share)
        own = (mixed.images == images).float().mean(dim=(1, 2, 3))
        moved = mixed.others != torch.arange(6)
        torch.testing.assert_close(own[moved], torch.full((int(moved.sum()),), mixed.share))
        assert mixed.share >= share - 0.06


def test_mixing_is_off_in_evaluation_and_follows_the_seed_in_training() -> None:
    data = batch()
    task = ClassificationTask(classifier(), mixup=0.5, cutmix=1.0)
    normaliser = task.count_terms(data)

    def loss(seed: int) -> float:
        torch.manual_seed(seed)
        return float(task(data, normaliser)["loss"].detach())

    assert loss(3) == loss(3)
    assert loss(3) != loss(4)
    task.eval()
    assert loss(3) == loss(4)


def test_every_trained_parameter_is_in_one_group_and_the_head_is_last() -> None:
    for decay in (None, 0.7):
        task = ClassificationTask(classifier("resnet18", frozen="layer3"), layer_decay=decay)
        groups = task.parameter_groups()
        grouped = [id(p) for group in groups for p in group.parameters]
        trained = [id(p) for p in task.network.parameters() if p.requires_grad]
        assert sorted(grouped) == sorted(trained)
        assert groups[-1].name.startswith("head")
        scales = [group.lr_scale for group in groups]
        assert scales == sorted(scales)
        assert scales[0] == (1.0 if decay is None else pytest.approx(0.7**4))


@pytest.mark.parametrize(
    ("frozen", "trained"),
    # ResNet-50 has 23,508,032 parameters without its classifier; the head has 2048 * 65 + 65.
    [
        (None, 23_508_032 + 133_185),
        ("layer1", 23_508_032 - 9_536 + 133_185),
        ("layer4", 23_508_032 - 8_543_296 + 133_185),
        ("all", 133_185),
    ],
)
def test_the_trained_parameters_of_resnet50_are_counted_exactly(
    frozen: str | None, trained: int
) -> None:
    with torch.device("meta"):
        encoder = build_encoder("resnet50")
        if frozen is not None:
            freeze(encoder, frozen)
        network = Classifier(ImageEncoder(encoder), 65, 2048)
    task = ClassificationTask(network)
    counted = sum(p.numel() for group in task.parameter_groups() for p in group.parameters)
    assert counted == trained
    if frozen == "all":
        names = {name for name, p in network.named_parameters() if p.requires_grad}
        assert names == {"head.weight", "head.bias"}


def test_batchnorm_of_frozen_blocks_keeps_its_statistics() -> None:
    task, data = ClassificationTask(classifier("resnet18", frozen="all")), batch()
    before = {k: v.clone() for k, v in task.network.encoder.state_dict().items()}
    task.train()
    task(data, task.count_terms(data))["loss"].backward()
    after = task.network.encoder.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
