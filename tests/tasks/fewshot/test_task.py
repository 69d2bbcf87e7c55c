"""The training task of prototypical networks: loss, terms and parameter groups."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from dlcvcli.config.names import DistanceName
from dlcvcli.models.build import build_encoder
from dlcvcli.models.distances import build_distance
from dlcvcli.models.protonet import ImageEncoder, ProtoNet
from dlcvcli.tasks.fewshot.task import ProtoNetTask

WAYS, SHOTS, QUERIES = 3, 2, 4
NAMES: tuple[DistanceName, ...] = ("euclidean", "cosine", "parametric")


def prepared_task(name: DistanceName = "euclidean", **settings: float) -> ProtoNetTask:
    torch.manual_seed(0)
    encoder = build_encoder("conv4", channels=8)
    distance = build_distance(name, encoder.dimension((16, 16)), hidden=8)
    return ProtoNetTask(ProtoNet(ImageEncoder(encoder), distance), **settings)


def batch(episodes: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """Return episodes whose classes are one colour each, with noise."""
    generator = torch.Generator().manual_seed(seed)

    def images(*shape: int) -> Tensor:
        noise = torch.randint(0, 160, (*shape, 16, 16, 3), generator=generator)
        return noise.to(torch.uint8)

    support = images(episodes, WAYS, SHOTS)
    query = images(episodes, WAYS, QUERIES)
    for way in range(WAYS):
        support[:, way, ..., way] += 60
        query[:, way, ..., way] += 60
    return {"support": support, "query": query.flatten(1, 2)}


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_mean_cross_entropy_of_the_queries(name: DistanceName) -> None:
    task, inputs = prepared_task(name).eval(), batch()
    count = task.count_terms(inputs)
    assert count.item() == 2 * WAYS * QUERIES
    outcome = task(inputs, count)
    logits = task.network(inputs["support"], inputs["query"])
    # The queries are ordered by class, the same in every episode.
    answers = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2] * 2)
    expected = F.cross_entropy(logits.reshape(-1, WAYS), answers)
    torch.testing.assert_close(outcome["loss"], expected)
    right = (logits.reshape(-1, WAYS).argmax(1) == answers).float().mean()
    assert outcome["log"].keys() == {"accuracy"}
    assert outcome["log"]["accuracy"].item() == right.item()
    assert not outcome["log"]["accuracy"].requires_grad


def test_the_losses_of_parts_sum_to_that_of_the_batch() -> None:
    task, inputs = prepared_task().eval(), batch(episodes=3)
    total = task.count_terms(inputs)
    cuts = (slice(0, 1), slice(1, 3))
    parts = [{name: value[where] for name, value in inputs.items()} for where in cuts]
    assert sum(int(task.count_terms(part)) for part in parts) == int(total)
    summed = sum(task(part, total)["loss"] for part in parts)
    torch.testing.assert_close(summed, task(inputs, total)["loss"])


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_is_in_one_group_with_its_learning_rate_scale(name: DistanceName) -> None:
    task = prepared_task(name, backbone_lr_scale=0.1, ema=0.9)
    groups = {group.name: group for group in task.parameter_groups()}
    scales = {each: (group.lr_scale, group.decay) for each, group in groups.items()}
    expected = {"encoder": (0.1, True), "encoder, no decay": (0.1, False)}
    if name == "parametric":
        expected["distance"] = (1.0, True)
    if name != "euclidean":
        # The scale of the cosine is a single number without weight decay.
        expected["distance, no decay"] = (1.0, False)
    assert scales == expected
    grouped = [id(p) for group in groups.values() for p in group.parameters]
    assert sorted(grouped) == sorted(id(p) for p in task.network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_few_steps_lower_the_loss(name: DistanceName) -> None:
    task = prepared_task(name).train()
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    losses = []
    for step in range(25):
        inputs = batch(seed=step)
        loss = task(inputs, task.count_terms(inputs))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_the_moving_average_is_evaluated_where_it_exists() -> None:
    plain = prepared_task()
    assert plain.evaluated is plain.network
    assert plain.average is None
    task = prepared_task(ema=0.9)
    assert task.evaluated is task.average is not task.network
    # Its tensors are in the checkpoint, under the names that `evaluated_weights` reads.
    names = task.network.state_dict().keys()
    prefixes = {f"{prefix}.{name}" for prefix in ("network", "average") for name in names}
    assert task.state_dict().keys() == prefixes
