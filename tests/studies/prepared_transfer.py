"""A study of pre-training on a second set and of a given checkpoint, without any training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dlcvcli.studies import study
from dlcvcli.studies.given import parse_given
from dlcvcli.studies.study import StudyRequest, run_study
from dlcvcli.studies.study_folder import StudyFolder
from tests.studies.prepared_fewshot import FewshotTrainer
from tests.studies.prepared_seg import tiny_study

TEXT = """
name: transfer
title: Where to start from
question: Which start is best?
source: no report
task: fewshot
given:
  second: {what: a second set to pre-train on}
  byol: {what: a BYOL checkpoint, optional: true}
runs:
  - name: supervised
    label: supervised pre-training
    pretraining: true
    data: given:second
    settings: &own
      data: {size: 16x16, test_holdout: 0.2}
      episode: {n_way: 3, k_shot: 1, n_query: 2, val_episodes: 4, test_episodes: 60}
      train: {steps: 4, val_every: 2, log_every: 1}
  - name: a
    label: A, no pre-training
    settings: *own
    reported: {accuracy: 0.2562}
  - name: b
    label: B, supervised
    settings: {<<: *own, distance: {name: cosine}}
    init: supervised
    reported: {accuracy: 0.4655, when: epoch 137}
  - name: c
    label: C, BYOL
    settings: {<<: *own, distance: {name: parametric}}
    init: given:byol
    reported: {accuracy: 0.4828}
"""


def run_transfer(
    folder: Path,
    data: Path | None,
    given: Mapping[str, Path] | None = None,
    text: str = TEXT,
    **more: Any,
) -> tuple[list[str], list[list[str]]]:
    """Run the study without any training; return its lines and the arguments of its trainings."""
    definition, trainer = tiny_study(text), FewshotTrainer()
    texts = [f"{name}={path}" for name, path in (given or {}).items()]
    lines: list[str] = []
    request = StudyRequest(
        definition,
        "transfer",
        StudyFolder(folder),
        data,
        given=parse_given(texts, definition),
        **more,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "run_dlcv", trainer)
        run_study(request, say=lines.append)
    return lines, trainer.calls
