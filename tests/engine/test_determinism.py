"""Deterministic algorithms are on inside the `with` block only."""

from __future__ import annotations

import os

import pytest
import torch

from dlcvcli.engine.determinism import deterministic_algorithms


def test_algorithms_are_deterministic_inside_the_block_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    with deterministic_algorithms():
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark


def test_disabled_context_changes_nothing() -> None:
    with deterministic_algorithms(enabled=False):
        assert not torch.are_deterministic_algorithms_enabled()


def test_error_inside_the_block_restores_the_settings() -> None:
    with pytest.raises(RuntimeError), deterministic_algorithms():
        raise RuntimeError
    assert not torch.are_deterministic_algorithms_enabled()
