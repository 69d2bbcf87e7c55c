"""Non-finite losses and weights are detected, reported with their step, and not saved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from dlcvcli.engine.soundness import (
    LossWatch,
    first_not_finite,
    raise_non_finite_loss,
    require_finite_weights,
)
from dlcvcli.engine.task import Batch
from dlcvcli.errors import NonFiniteLoss
from tests.engine.tiny import TinyTask

CPU = torch.device("cpu")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_first_step_with_a_non_finite_loss(bad: float) -> None:
    watch = LossWatch(CPU, 100)
    assert int(watch.first) == 100
    for step, loss in enumerate([0.5, 1e30, bad, 0.5, float("nan")]):
        watch.note(step, torch.tensor(loss))
    assert int(watch.first) == 2
    assert watch.first.dtype == torch.int64


def test_non_finite_loss_at_step_0() -> None:
    watch = LossWatch(CPU, 100)
    watch.note(0, torch.tensor(float("nan")))
    watch.note(1, torch.tensor(float("nan")))
    assert int(watch.first) == 0


def test_finite_losses_are_not_reported() -> None:
    watch = LossWatch(CPU, 100)
    for step in range(5):
        watch.note(step, torch.tensor(1.0 / (step + 1)))
    assert int(watch.first) == 100


def test_batch_of_a_non_finite_loss_is_saved_and_named(tmp_path: Path) -> None:
    batch: Batch = {"images": torch.arange(12).view(1, 2, 2, 3), "masks": torch.ones(1, 2, 2)}
    file = tmp_path / "nonfinite-step-7.pt"
    with pytest.raises(NonFiniteLoss) as caught:
        raise_non_finite_loss(7, batch, file)
    assert caught.value.message == (
        f"the loss is not finite at step 7; the batch is saved as {file}"
    )
    for fix in ("--lr", "optim.clip_norm=1", "--precision fp32", "checkpoints are intact"):
        assert fix in caught.value.hint
    saved = torch.load(file, weights_only=True)
    assert saved.keys() == batch.keys()
    assert all(torch.equal(saved[key], batch[key]) for key in batch)


def test_ranks_without_a_file_only_raise(tmp_path: Path) -> None:
    with pytest.raises(NonFiniteLoss) as caught:
        raise_non_finite_loss(7, {}, None)
    assert caught.value.message == "the loss is not finite at step 7"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["net.0.weight", "net.4.bias", "net.1.running_var"])
def test_one_non_finite_value_in_a_weight_or_statistic_is_refused(name: str, bad: float) -> None:
    task = TinyTask()
    require_finite_weights(task, 3)
    task.state_dict()[name].view(-1)[-1] = bad
    with pytest.raises(NonFiniteLoss) as caught:
        require_finite_weights(task, 3)
    assert caught.value.message == "the weights after step 3 are not finite and were not saved"
    assert "checkpoints are intact" in caught.value.hint


def test_non_finite_initial_weights_are_refused() -> None:
    task = TinyTask()
    task.state_dict()["net.0.weight"].fill_(float("nan"))
    with pytest.raises(NonFiniteLoss, match="before the first step") as caught:
        require_finite_weights(task, 0)
    assert caught.value.hint == "choose another file for --weights"


def test_first_non_finite_tensor_is_named_and_integers_are_ignored() -> None:
    state = {"steps": torch.tensor(3), "a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])}
    assert first_not_finite(state) == "b"
    assert first_not_finite({**state, "b": torch.ones(1)}) is None
    assert first_not_finite({"steps": torch.tensor(3)}) is None


def test_large_weights_are_accepted() -> None:
    task = TinyTask()
    task.state_dict()["net.0.weight"].fill_(3e38)
    require_finite_weights(task, 3)


def test_error_names_the_loss_even_if_the_batch_cannot_be_saved(tmp_path: Path) -> None:
    file = tmp_path / "nowhere" / "batch.pt"
    with pytest.raises(NonFiniteLoss, match="not finite at step 7; the batch could not be saved"):
        raise_non_finite_loss(7, {"images": torch.zeros(1)}, file)
