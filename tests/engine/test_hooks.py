"""Hooks have empty defaults; a list calls each in order, and those for snapshots on request."""

from __future__ import annotations

from typing import Any

import pytest

from dlcvcli.engine.hooks import HookList, Hooks, Plan
from tests.engine.tiny import TinyTask

PLAN = Plan(start_step=0, total_steps=20, steps_per_epoch=8, batch_size=4)


class Recording(Hooks):
    """Records its calls under its name; wants snapshots at some steps."""

    def __init__(
        self, name: str, calls: list[tuple[Any, ...]], snapshots: tuple[int, ...] = ()
    ) -> None:
        self.name = name
        self.calls = calls
        self.snapshots = snapshots

    def on_start(self, plan: Plan) -> None:
        self.calls.append((self.name, "start", plan))

    def on_step(self, step: int) -> None:
        self.calls.append((self.name, "step", step))

    def on_log(self, record: Any) -> None:
        self.calls.append((self.name, "log", record))

    def on_validation_start(self, step: int) -> None:
        self.calls.append((self.name, "validation starts", step))

    def on_validation(self, record: Any, is_best: bool) -> None:
        self.calls.append((self.name, "validation", record, is_best))

    def on_snapshot(self, step: int, task: Any) -> None:
        self.calls.append((self.name, "snapshot", step, task))

    def wants_snapshot(self, step: int) -> bool:
        return step in self.snapshots


@pytest.mark.parametrize(("step", "epoch"), [(0, 0), (8, 1), (16, 2), (1, 0.125), (3, 0.375)])
def test_epoch_is_an_integer_at_its_end_only(step: int, epoch: float) -> None:
    actual = PLAN.epoch_of(step)
    assert actual == epoch
    assert isinstance(actual, int) == (step % 8 == 0)


def test_epoch_has_four_decimals() -> None:
    assert Plan(0, 20, 3, 4).epoch_of(1) == 0.3333


def test_all_hooks_have_a_default() -> None:
    hooks = Hooks()
    hooks.on_start(PLAN)
    hooks.on_step(1)
    hooks.on_log({"step": 1})
    hooks.on_validation_start(1)
    hooks.on_validation({"step": 1}, True)
    hooks.on_snapshot(1, TinyTask())
    assert hooks.wants_snapshot(0) is hooks.wants_snapshot(1) is False


def test_hooks_in_a_list_are_called_in_order() -> None:
    calls: list[tuple[Any, ...]] = []
    hooks = HookList(Recording("a", calls), Recording("b", calls))
    train, val = {"step": 2, "loss": 0.5}, {"step": 2, "miou": 0.5}
    hooks.on_start(PLAN)
    hooks.on_step(2)
    hooks.on_log(train)
    hooks.on_validation_start(2)
    hooks.on_validation(val, True)
    hooks.on_validation(val, False)
    expected: list[tuple[Any, ...]] = [
        ("start", PLAN),
        ("step", 2),
        ("log", train),
        ("validation starts", 2),
        ("validation", val, True),
        ("validation", val, False),
    ]
    assert calls == [(name, *what) for what in expected for name in ("a", "b")]


def test_snapshots_are_taken_by_the_hooks_that_want_them() -> None:
    calls: list[tuple[Any, ...]] = []
    hooks = HookList(
        Recording("a", calls, (0, 4)), Recording("b", calls, (4, 9)), Recording("c", calls)
    )
    task = TinyTask()
    assert [step for step in range(12) if hooks.wants_snapshot(step)] == [0, 4, 9]
    for step in (0, 4, 9):
        hooks.on_snapshot(step, task)
    assert calls == [
        ("a", "snapshot", 0, task),
        ("a", "snapshot", 4, task),
        ("b", "snapshot", 4, task),
        ("b", "snapshot", 9, task),
    ]


def test_empty_list_wants_no_snapshot() -> None:
    hooks = HookList()
    hooks.on_step(1)
    assert not hooks.wants_snapshot(1)
