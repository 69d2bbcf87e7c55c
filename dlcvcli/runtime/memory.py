"""How much memory this process has held at most."""

from __future__ import annotations

import sys
from pathlib import Path


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
