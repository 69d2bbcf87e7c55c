"""Cores, memory, GPU driver and ranks of this process."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# Constants of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def this_rank() -> int:
    """Return this process's rank in a run, 0 for a single process, without loading torch."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")))


def torchrun_shape() -> tuple[int, int] | None:
    """Return (ranks on this machine, number of machines) under torchrun, else None."""
    if not {"LOCAL_WORLD_SIZE", "WORLD_SIZE", "RANK", "LOCAL_RANK"} <= os.environ.keys():
        return None
    local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    return local, world // local


def usable_cores() -> int:
    """Return the number of cores that this process may use, which a job manager may restrict."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def driver_obstacle() -> str | None:
    """Return why no program can use an NVIDIA GPU; None if a driver is installed."""
    driver = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(driver)
    except OSError:
        return f"no NVIDIA driver ({driver} is not found)"
    return None


def free_memory() -> int | None:
    """Return the bytes of available memory, within a container's limit; None if unknown.

    It is known on Linux only.
    """
    meminfo = Path("/proc/meminfo")
    if not meminfo.is_file():
        return None
    lines = meminfo.read_text(encoding="ascii", errors="replace").splitlines()
    free = [int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")]
    return min([*free, *_left_in_container(Path("/sys/fs/cgroup"))], default=None)


def _left_in_container(groups: Path) -> list[int]:
    """Return the bytes left within a container's memory limit; an empty list without a limit.

    Args:
        groups: mount point of the control groups, of version 2 or 1.
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
        # "max" in version 2: there is no limit.
        return [max(0, int(most) - now)] if most.isdigit() else []
    return []


def peak_memory_mb() -> int:
    """Return the largest resident memory of this process so far, in MiB; 0 if unknown.

    On Linux it is read from /proc, since `getrusage` includes memory that the parent process used
    before it started this process.
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
    # It is in bytes on macOS, in kilobytes elsewhere.
    return int(peak) >> (20 if sys.platform == "darwin" else 10)


def keep_freed_memory() -> None:
    """Make the C library keep freed memory for later allocations of this process.

    By default it returns large blocks to the system, and gets them back page by page, zeroed, in
    the next step: a third of the time of a training step on a CPU. Does nothing if the C library
    is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
