"""Peak memory is this process's own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from dlcvcli.runtime.memory import peak_memory_mb


def test_it_grows_with_what_is_held() -> None:
    before = peak_memory_mb()
    held = np.ones((before + 200) << 17)
    assert peak_memory_mb() >= before + 150
    assert held.nbytes > 0


def test_a_child_does_not_count_what_its_parent_held() -> None:
    held = np.ones(400 << 17)
    script = "from dlcvcli.runtime.memory import peak_memory_mb; print(peak_memory_mb())"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert 0 < int(done.stdout) < 200
    assert held.nbytes > 0
