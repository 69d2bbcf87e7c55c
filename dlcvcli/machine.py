"""What this process may use of the machine, and has used; what its ranks are."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def this_rank() -> int:
    """Return which rank of a run this process is, before anything of torch is loaded; 0 alone."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def torchrun_shape() -> tuple[int, int] | None:
    """Return (ranks on this machine, machines) under torchrun, None elsewhere."""
    if not {"LOCAL_WORLD_SIZE", "WORLD_SIZE", "RANK", "LOCAL_RANK"} <= os.environ.keys():
        return None
    local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    return local, world // local


def usable_cores() -> int:
    """Return how many cores this process may run on; a job's share, not the machine's number."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def driver_obstacle() -> str | None:
    """Return why no NVIDIA GPU can be used by any program, None where a driver is installed."""
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError:
        return f"no NVIDIA driver ({driver} is not found)"
    return None


def free_memory() -> int | None:
    """Return the bytes of memory that can still be had; None where the system does not tell.

    On Linux alone, where the limit of a container counts, too.
    """
    facts = Path("/proc/meminfo")
    if not facts.is_file():
        return None
    lines = facts.read_text(encoding="ascii", errors="replace").splitlines()
    free = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    return min([*free, *_left_in_container(Path("/sys/fs/cgroup"))], default=None)


def _left_in_container(groups: Path) -> list[int]:
    """Return what a container's limit leaves, in bytes; empty without a limit.

    Args:
        groups: where control groups are mounted, of version 2 or 1.
    """
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most = (groups / limit).read_text(encoding="ascii").strip()
            now = int((groups / used).read_text(encoding="ascii"))
        except (OSError, ValueError):
            continue
        # Version 2 says "max" where there is no limit.
        return [max(0, int(most) - now)] if most.isdigit() else []
    return []


def peak_memory_mb() -> int:
    """Return the largest resident memory of this process in MiB; 0 where the system does not tell.

    On Linux it is read from /proc: `getrusage` counts what a parent held before it started this
    process, too.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) >> 10
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Bytes on macOS, kilobytes elsewhere.
    return int(peak) >> (20 if sys.platform == "darwin" else 10)


def keep_freed_memory() -> None:
    """Let this process keep the memory that it frees, for what it allocates next.

    The C library gives large blocks back to the system, and gets them page by page, zeroed, when
    the next step asks for them again: a third of the time of a training step on a CPU. Does
    nothing where the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
