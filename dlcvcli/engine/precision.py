"""Which number format to train in, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from dlcvcli.errors import DeviceError

Asked = Literal["auto", "fp32", "bf16", "fp16"]
Chosen = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Precision:
    """The training precision in force, and the reason for it."""

    name: Chosen
    reason: str


def choose_precision(asked: Asked, device_type: str) -> Precision:
    """Resolve `auto` for a device, and refuse what it cannot do.

    bf16 is chosen where the hardware computes in it; the library's emulation is slower than fp32.

    Raises:
        DeviceError: fp16 on a CPU, which has no scaler and no speed to offer there.
    """
    native = _native_bf16(device_type)
    if asked == "fp16" and device_type != "cuda":
        raise DeviceError(
            f"--precision fp16 needs a GPU; this run is on the {device_type}",
            "use --precision auto",
        )
    if asked == "bf16":
        note = "asked for" if native else "asked for; emulated here, slower than fp32"
        return Precision("bf16", note)
    if asked != "auto":
        return Precision(asked, "asked for")
    if native:
        return Precision("bf16", f"the {device_type.upper()} has bf16 instructions")
    if device_type == "cuda":
        return Precision("fp16", "the GPU has no bf16 instructions")
    return Precision("fp32", f"the {device_type.upper()} has no bf16 instructions")


def _native_bf16(device_type: str) -> bool:
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type != "cpu":
        return False
    # Torch 2.11 does not have it yet.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if not capabilities:
        return bool(torch.cpu._is_avx512_bf16_supported())
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
