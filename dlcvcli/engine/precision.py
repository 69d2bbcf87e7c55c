"""Choice of the number format to train in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from dlcvcli.errors import DeviceError

Asked = Literal["auto", "fp32", "bf16", "fp16"]
Chosen = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Precision:
    """The training precision, and why it was chosen."""

    name: Chosen
    reason: str


def choose_precision(asked: Asked, device_type: str) -> Precision:
    """Return the precision for a device, with `auto` resolved.

    `auto` selects bf16 only where the hardware has bf16 instructions; emulated bf16 is slower than
    fp32.

    Raises:
        DeviceError: fp16 on a CPU, where it is slow and has no gradient scaler.
    """
    native = _native_bf16(device_type)
    if asked == "fp16" and device_type != "cuda":
        raise DeviceError(
            f"--precision fp16 needs a GPU; this run is on the {device_type}",
            "use --precision auto",
        )
    if asked == "bf16":
        note = "as requested" if native else "as requested; emulated here, slower than fp32"
        return Precision("bf16", note)
    if asked != "auto":
        return Precision(asked, "as requested")
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
    # torch.cpu.get_capabilities is newer than torch 2.11.
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    if not capabilities:
        return bool(torch.cpu._is_avx512_bf16_supported())
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
