"""A study of two tasks without training."""

from __future__ import annotations

from tests.studies.prepared_fewshot import FewshotTrainer
from tests.studies.prepared_seg import Trainer

TEXT = """
name: mixed
title: Masks and characters
question: Are two tasks kept apart?
source: no report
task: seg
runs:
  - name: small
    label: small lr
    settings: &seg
      model: {name: lraspp_mobilenet_v3_large}
      train: {steps: 4, batch_size: 4, workers: 0, val_every: 2, log_every: 1}
      optim: {lr: 1.0e-4}
    reported: {miou: 0.4}
  - name: euclid
    label: Euclidean
    task: fewshot
    data: &characters {alphabets: 5, characters: 4, drawers: 6, size: 16x16}
    settings: &few
      data: {size: 16x16, test_holdout: 0.2}
      episode: {n_way: 3, k_shot: 1, n_query: 2, val_episodes: 4, test_episodes: 60}
      train: {steps: 4, val_every: 2, log_every: 1}
  - name: large
    label: large lr
    settings: {<<: *seg, optim: {lr: 1.0e-2}}
  - name: cosine
    label: cosine
    task: fewshot
    data: *characters
    settings: {<<: *few, distance: {name: cosine}}
    reported: {accuracy: 0.5, ci95: 0.01}
figures: {images: ["0001"]}
"""


class MixedTrainer(Trainer):
    """Replaces `run_dlcv` for both tasks."""

    def __call__(self, arguments: list[str]) -> None:
        self.calls.append(arguments)
        {"seg": Trainer, "fewshot": FewshotTrainer}[arguments[1]]()(arguments)
