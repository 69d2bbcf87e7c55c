"""The scores of a segmentation model; the first chooses the best checkpoint."""

from __future__ import annotations

from dlcvcli.scores import Score

SCORES = (
    Score("miou", "mIoU", limit="min_miou"),
    Score("overall_acc", "pixel accuracy"),
    Score("mean_acc", "mean class accuracy", shown=False),
    Score("freqw_acc", "frequency-weighted IoU", shown=False),
)
