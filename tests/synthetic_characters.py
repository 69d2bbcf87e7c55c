"""A small set of images by class, and small few-shot runs on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dlcvcli.config.load import resolve
from dlcvcli.reporter import Silent
from dlcvcli.runs import RunFolder
from dlcvcli.tasks.fewshot.settings import TrainFewshotSettings
from dlcvcli.tasks.fewshot.spec import SPEC
from dlcvcli.training.run import RunRequest

ALPHABETS, CHARACTERS, EACH, SIDE = 6, 3, 6, 16


def write_characters(folder: Path) -> Path:
    """Write 18 characters of 6 alphabets, six noisy images of a coarse pattern each."""
    rng = np.random.default_rng(0)
    for alphabet in range(ALPHABETS):
        for character in range(CHARACTERS):
            place = folder / f"Alphabet{alphabet}" / f"character{character:02d}"
            place.mkdir(parents=True)
            pattern = rng.integers(0, 2, (4, 4)).repeat(4, 0).repeat(4, 1) * 180 + 30
            for number in range(EACH):
                noisy = np.clip(pattern + rng.normal(0, 40, (SIDE, SIDE)), 0, 255)
                Image.fromarray(noisy.astype(np.uint8)).save(place / f"{number}.png")
    return folder


def request_for(run: Path, data: Path, **flags: Any) -> RunRequest:
    """Return a request for a small run; `flags` are keys with `__` instead of the dot."""
    defaults = {
        "data.path": str(data),
        "data.size": "16x16",
        "model.options": {"channels": 8},
        "episode.n_way": 3,
        "episode.n_query": 3,
        "episode.val_episodes": 20,
        "episode.test_episodes": 30,
        "train.steps": 6,
        "train.val_every": 3,
        "train.log_every": 2,
        "train.precision": "fp32",
    }
    dotted = {key.replace("__", "."): value for key, value in flags.items()}
    settings = resolve(TrainFewshotSettings, flags={**defaults, **dotted})
    resolved, data = SPEC.prepare(settings, Silent(), known=False)
    return RunRequest(SPEC.job, RunFolder(run), resolved, data)
