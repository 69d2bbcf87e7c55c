"""The segmentation task: its loss, its terms, its parameter groups."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from dlcvcli.losses import LOSSES, build_loss
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import PRESETS
from dlcvcli.tasks.segmentation.task import SegmentationTask

CAMVID = PRESETS["camvid11"]


class Small(nn.Module):
    """A backbone and a head of one convolution each."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.head = nn.Conv2d(4, 11, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"out": self.head(self.backbone(x))}


@pytest.fixture
def task() -> SegmentationTask:
    torch.manual_seed(0)
    return SegmentationTask(Segmenter(Small(), 16), CAMVID, backbone_lr_scale=0.1)


@pytest.fixture
def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "images": torch.randint(0, 256, (4, 20, 24, 3), generator=generator, dtype=torch.uint8),
        "masks": torch.randint(0, 12, (4, 20, 24), generator=generator, dtype=torch.uint8),
    }


def test_the_loss_is_the_mean_over_labelled_pixels(
    task: SegmentationTask, batch: dict[str, Tensor]
) -> None:
    task.eval()
    count = task.count_terms(batch)
    assert count.tolist() == [(batch["masks"] != 11).sum()]
    logits = task.network.network_outputs(batch["images"])["out"]
    assert logits.shape == (4, 11, 20, 24)
    expected = nn.functional.cross_entropy(logits, batch["masks"].long(), ignore_index=11)
    torch.testing.assert_close(task(batch, count)["loss"], expected)


def test_a_batch_without_labels_has_loss_zero(
    task: SegmentationTask, batch: dict[str, Tensor]
) -> None:
    batch["masks"].fill_(11)
    loss = task(batch, task.count_terms(batch))["loss"]
    assert loss.item() == 0
    loss.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in task.parameters())


def test_every_parameter_is_in_one_group_with_its_learning_rate_scale(
    task: SegmentationTask,
) -> None:
    groups = {group.name: group for group in task.parameter_groups()}
    scales = {name: (group.lr_scale, group.decay) for name, group in groups.items()}
    assert scales == {
        "backbone": (0.1, True),
        "backbone, no decay": (0.1, False),
        "head": (1.0, True),
        "head, no decay": (1.0, False),
    }
    grouped = [id(p) for group in groups.values() for p in group.parameters]
    assert sorted(grouped) == sorted(id(p) for p in task.parameters())


def test_frozen_parameters_are_in_no_group(task: SegmentationTask) -> None:
    network = task.network.network
    assert isinstance(network, Small)
    network.backbone.requires_grad_(False)
    assert {group.name for group in task.parameter_groups()} == {"head", "head, no decay"}


class Twofold(Small):
    """A network with an auxiliary head."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        logits = super().forward(x)["out"]
        return {"out": logits, "aux": 2 * logits} if self.training else {"out": logits}


def test_an_auxiliary_head_adds_its_weighted_loss(batch: dict[str, Tensor]) -> None:
    torch.manual_seed(0)
    task = SegmentationTask(Segmenter(Twofold(), 16), CAMVID, auxiliary=0.25)
    count = task.count_terms(batch)
    outputs = task.network.network_outputs(batch["images"])
    main, auxiliary = (task.loss(outputs[name], batch["masks"], count) for name in ("out", "aux"))
    outcome = task(batch, count)
    torch.testing.assert_close(outcome["loss"], main + 0.25 * auxiliary)
    torch.testing.assert_close(outcome["log"]["auxiliary_loss"], auxiliary)
    assert not outcome["log"]["auxiliary_loss"].requires_grad


def test_every_loss_trains(batch: dict[str, Tensor]) -> None:
    for name in LOSSES:
        loss = build_loss(name, ignore_index=CAMVID.ignore_index)
        torch.manual_seed(0)
        task = SegmentationTask(Segmenter(Small(), 16), CAMVID, loss)
        optimizer = torch.optim.Adam(task.parameters(), lr=0.05)
        values = []
        for _ in range(12):
            value = task(batch, task.count_terms(batch))["loss"]
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            values.append(value.item())
        assert values[-1] < values[0], name


def test_the_moving_average_is_validated_and_only_the_network_is_trained(
    batch: dict[str, Tensor],
) -> None:
    torch.manual_seed(0)
    task = SegmentationTask(Segmenter(Small(), 16), CAMVID, ema=0.9)
    assert task.average is task.evaluated
    grouped = {id(p) for group in task.parameter_groups() for p in group.parameters}
    assert grouped == {id(p) for p in task.network.parameters()}
    task.train()
    assert task.network.training
    assert not task.average.training
    with torch.no_grad():
        for parameter in task.network.parameters():
            parameter.add_(1.0)
    before = task.average.network.head.weight.clone()
    task.after_step(1000, 2000)
    torch.testing.assert_close(task.average.network.head.weight, before + 0.1)
    # Its tensors are in the checkpoint, so that a resumed run continues it.
    assert "average.network.head.weight" in task.state_dict()
