"""Precision follows from the instructions of the hardware, and has a reason."""

from __future__ import annotations

import pytest
import torch

from dlcvcli.engine.precision import choose_precision
from dlcvcli.errors import DeviceError


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx2": True}, "fp32")],
)
def test_auto_selects_bf16_only_on_cpus_with_the_instructions(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    chosen = choose_precision("auto", "cpu")
    assert chosen.name == expected
    assert "CPU has" in chosen.reason


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp16")])
def test_auto_on_a_gpu(monkeypatch: pytest.MonkeyPatch, native: bool, expected: str) -> None:
    def supported(including_emulation: bool = True) -> bool:
        assert not including_emulation
        return native

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert choose_precision("auto", "cuda").name == expected


def test_fp16_on_a_cpu_is_refused() -> None:
    with pytest.raises(DeviceError, match="needs a GPU"):
        choose_precision("fp16", "cpu")


def test_requested_precision_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert choose_precision("fp32", "cpu").name == "fp32"
    slow = choose_precision("bf16", "cpu")
    assert slow.name == "bf16"
    assert "emulated" in slow.reason
