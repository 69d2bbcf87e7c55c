"""Memory and cores of this process, not of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlcvcli.machine import _left_in_container, free_memory, peak_memory_mb, usable_cores


def test_peak_memory_grows_with_allocations() -> None:
    before = peak_memory_mb()
    held = np.ones((before + 200) << 17)
    assert peak_memory_mb() >= before + 150
    assert held.nbytes > 0


def test_peak_memory_of_a_child_excludes_its_parent() -> None:
    held = np.ones(400 << 17)
    script = "from dlcvcli.machine import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert 0 < int(done.stdout) < 200
    assert held.nbytes > 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_only_the_cores_of_the_job_count() -> None:
    before = os.sched_getaffinity(0)
    assert usable_cores() == len(before)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_free_memory_is_positive_and_below_the_total() -> None:
    free = free_memory()
    assert free is not None
    assert 10**7 < free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_container_leaves_its_limit_minus_its_usage(tmp_path: Path) -> None:
    assert _left_in_container(tmp_path) == []
    older = tmp_path / "memory"
    older.mkdir()
    (older / "memory.limit_in_bytes").write_text("1000\n")
    (older / "memory.usage_in_bytes").write_text("300\n")
    assert _left_in_container(tmp_path) == [700]
    (tmp_path / "memory.current").write_text("300\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert _left_in_container(tmp_path) == []
    (tmp_path / "memory.max").write_text("200\n")
    assert _left_in_container(tmp_path) == [0]
