"""The scores of a classifier; the first chooses the best checkpoint."""

from __future__ import annotations

from dlcvcli.scores import Score

SCORES = (
    Score("top1", "top-1", interval="ci95", limit="min_accuracy"),
    Score("top5", "top-5", shown=False),
    Score("balanced_accuracy", "balanced accuracy"),
)
