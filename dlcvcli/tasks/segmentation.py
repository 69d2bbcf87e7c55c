"""Semantic segmentation: cross-entropy over the labelled pixels of the whole global batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlcvcli.losses import cross_entropy_sum
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import ClassSet
from dlcvcli.tasks.base import Batch, Outcome, ParameterGroup, Task, split_by_decay


class SegmentationTask(Task):
    """Trains a segmenter on `images` uint8 [N, H, W, 3] and `masks` uint8 [N, H, W].

    Args:
        segmenter: network with its pre- and post-processing.
        classes: the class set of the masks.
        backbone_lr_scale: rate of the backbone / rate of the heads.
    """

    def __init__(
        self, segmenter: Segmenter, classes: ClassSet, backbone_lr_scale: float = 1.0
    ) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.classes = classes
        self.backbone_lr_scale = backbone_lr_scale

    def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
        """Return the mean cross-entropy over `normaliser` labelled pixels."""
        logits = self.segmenter.network_outputs(batch["images"])["out"]
        total = cross_entropy_sum(logits, batch["masks"], self.classes.ignore_index)
        # A batch without a labelled pixel has loss 0, not 0 / 0.
        loss = total / normaliser.clamp(min=1).to(total.dtype)
        return {"loss": loss, "log": {}}

    def count_terms(self, batch: Batch) -> Tensor:
        """Return the number of labelled pixels, float64."""
        return (batch["masks"] != self.classes.ignore_index).sum(dtype=torch.float64)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return backbone and head, each with and without weight decay."""
        network = self.segmenter.network
        backbone = network.backbone
        if not isinstance(backbone, nn.Module):
            raise TypeError(f"{type(network).__name__} has no backbone")
        inside = {id(parameter) for parameter in backbone.parameters()}
        head = nn.ParameterList(p for p in network.parameters() if id(p) not in inside)
        return [
            *split_by_decay("backbone", backbone, self.backbone_lr_scale),
            *split_by_decay("head", head, 1.0),
        ]
