"""Deterministic algorithms: on inside, as before outside."""

from __future__ import annotations

import os

import pytest
import torch

from dlcvcli.engine.determinism import deterministic_algorithms


def test_they_are_on_inside_and_as_before_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with deterministic_algorithms():
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark


def test_nothing_changes_where_it_is_not_asked_for() -> None:
    with deterministic_algorithms(enabled=False):
        assert not torch.are_deterministic_algorithms_enabled()


def test_an_error_inside_leaves_nothing_behind() -> None:
    with pytest.raises(RuntimeError), deterministic_algorithms():
        raise RuntimeError
    assert not torch.are_deterministic_algorithms_enabled()
