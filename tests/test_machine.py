"""Memory and cores are this process's own."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from dlcvcli.machine import free_memory, peak_memory_mb, usable_cores


def test_it_grows_with_what_is_held() -> None:
    before = peak_memory_mb()
    held = np.ones((before + 200) << 17)
    assert peak_memory_mb() >= before + 150
    assert held.nbytes > 0


def test_a_child_does_not_count_what_its_parent_held() -> None:
    held = np.ones(400 << 17)
    script = "from dlcvcli.machine import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert 0 < int(done.stdout) < 200
    assert held.nbytes > 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_only_the_cores_that_a_job_was_given_count() -> None:
    before = os.sched_getaffinity(0)
    assert usable_cores() == len(before)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_free_memory_is_some_and_less_than_all() -> None:
    free = free_memory()
    assert free is not None
    assert 10**7 < free < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
