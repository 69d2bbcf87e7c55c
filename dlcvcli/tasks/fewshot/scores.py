"""The scores of a few-shot model; the first chooses the best checkpoint."""

from __future__ import annotations

from dlcvcli.scores import Score

SCORES = (Score("accuracy", "accuracy", interval="ci95", limit="min_accuracy"),)
