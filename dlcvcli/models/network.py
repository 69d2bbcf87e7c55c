"""What every segmentation network has: a backbone that pre-trained weights can fill."""

from __future__ import annotations

from typing import Self

from torch import nn

from dlcvcli.models.diagram import Diagram
from dlcvcli.models.weights import LoadReport, load_backbone


class SegmentationNetwork(nn.Module):
    """Base of the networks: normalised images ``[N, 3, H, W]`` to ``{"out": logits}``.

    In training a network may give logits of an auxiliary head as ``aux`` as well. All logits are
    float ``[N, num_classes, H, W]``.

    Attributes:
        backbone: an extractor with the name of torchvision's weights as `torchvision_weights`.
        backbone_report: what was loaded into it, None where nothing was.
    """

    backbone: nn.Module
    backbone_report: LoadReport | None = None

    def diagram(self) -> Diagram:
        """Say which blocks the network is made of, and what feeds each, for its drawing."""
        raise NotImplementedError

    def fill_backbone(self, weights: str | None) -> Self:
        """Fill the backbone in place; return the network.

        Args:
            weights: None for nothing, ``imagenet`` or a path (see `load_backbone`).

        Raises:
            CheckpointError: the weights cannot be had, read or fitted.
        """
        if weights is not None:
            name = str(self.backbone.torchvision_weights)
            self.backbone_report = load_backbone(self.backbone, weights, torchvision_name=name)
        return self
