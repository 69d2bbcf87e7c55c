"""`dlcv data episodes` on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.command import dlcv_without_torch, refused


def test_the_seed_determines_the_episodes(tmp_path: Path) -> None:
    for alphabet in ("Greek", "Latin"):
        for character in range(3):
            folder = tmp_path / "set" / alphabet / f"character0{character}"
            folder.mkdir(parents=True)
            for number in range(4):
                Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / f"{number}.png")
    arguments = ("data", "episodes", tmp_path / "set", "--n-query", 2, "--episodes", 3)
    files = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / f"{name}.csv"
        done = dlcv_without_torch(*arguments, "--seed", seed, "--out", out)
        assert done.returncode == 0, done.stderr
        assert "3 episodes, 5-way 1-shot with 2 queries per class" in done.stdout
        assert "6 classes" in done.stderr
        files.append(out.read_bytes())
    assert files[0] == files[1] != files[2]
    out = tmp_path / "d.csv"
    refused(1, *arguments, "--n-way", 7, "--out", out, message="6 classes, too few for 7 ways")
    refused(1, *arguments, "--k-shot", 3, "--out", out, message="fewer than 5 images")
    refused(1, "data", "episodes", tmp_path / "none", "--out", out, message="does not exist")
    assert not out.exists()
