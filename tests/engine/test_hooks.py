"""Hooks listen and need not; several are called as one, each with its own steps to look at."""

from __future__ import annotations

from typing import Any

import pytest

from dlcvcli.engine.hooks import HookList, Hooks, Plan
from tests.engine.tiny import TinyTask

PLAN = Plan(start_step=0, total_steps=20, steps_per_epoch=8, batch_size=4)


class Noted(Hooks):
    """Notes what it is told, under its name; wants to look at some steps."""

    def __init__(self, name: str, told: list[tuple[Any, ...]], looks: tuple[int, ...] = ()) -> None:
        self.name = name
        self.told = told
        self.looks = looks

    def on_start(self, plan: Plan) -> None:
        self.told.append((self.name, "start", plan))

    def on_step(self, step: int) -> None:
        self.told.append((self.name, "step", step))

    def on_log(self, record: Any) -> None:
        self.told.append((self.name, "log", record))

    def on_validation_start(self, step: int) -> None:
        self.told.append((self.name, "validation starts", step))

    def on_validation(self, record: Any, is_best: bool) -> None:
        self.told.append((self.name, "validation", record, is_best))

    def on_snapshot(self, step: int, task: Any) -> None:
        self.told.append((self.name, "snapshot", step, task))

    def wants_snapshot(self, step: int) -> bool:
        return step in self.looks


@pytest.mark.parametrize(("step", "epoch"), [(0, 0), (8, 1), (16, 2), (1, 0.125), (3, 0.375)])
def test_epochs_are_whole_at_their_end_only(step: int, epoch: float) -> None:
    found = PLAN.epoch_of(step)
    assert found == epoch
    assert isinstance(found, int) == (step % 8 == 0)


def test_an_epoch_has_four_digits() -> None:
    assert Plan(0, 20, 3, 4).epoch_of(1) == 0.3333


def test_no_hook_must_be_written() -> None:
    silent = Hooks()
    silent.on_start(PLAN)
    silent.on_step(1)
    silent.on_log({"step": 1})
    silent.on_validation_start(1)
    silent.on_validation({"step": 1}, True)
    silent.on_snapshot(1, TinyTask())
    assert silent.wants_snapshot(0) is silent.wants_snapshot(1) is False


def test_each_of_several_is_told_in_their_order() -> None:
    told: list[tuple[Any, ...]] = []
    hooks = HookList(Noted("a", told), Noted("b", told))
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
    assert told == [(name, *what) for what in expected for name in ("a", "b")]


def test_only_those_who_want_to_look_are_shown_the_task() -> None:
    told: list[tuple[Any, ...]] = []
    hooks = HookList(Noted("a", told, (0, 4)), Noted("b", told, (4, 9)), Noted("c", told))
    task = TinyTask()
    assert [step for step in range(12) if hooks.wants_snapshot(step)] == [0, 4, 9]
    for step in (0, 4, 9):
        hooks.on_snapshot(step, task)
    assert told == [
        ("a", "snapshot", 0, task),
        ("a", "snapshot", 4, task),
        ("b", "snapshot", 4, task),
        ("b", "snapshot", 9, task),
    ]


def test_a_list_of_none_wants_nothing() -> None:
    hooks = HookList()
    hooks.on_step(1)
    assert not hooks.wants_snapshot(1)
