"""What every segmentation network has: a backbone, and weights that can fill it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from torch import nn

from dlcvcli.models.diagram import Diagram
from dlcvcli.models.weights import LoadReport, load_network


class SegmentationNetwork(nn.Module):
    """Base of the networks: normalised images ``[N, 3, H, W]`` to ``{"out": logits}``.

    In training a network may give logits of an auxiliary head as ``aux`` as well. All logits are
    float ``[N, num_classes, H, W]``.

    Attributes:
        backbone: an extractor with the name of torchvision's weights as `torchvision_weights`.
        torchvision_heads: how names of the head begin here -> in torchvision's segmenter of the
            same kind, where there is one.
        torchvision_note: in what the same weights there mean something else, for the report.
        load_report: what was loaded, None where nothing was.
    """

    backbone: nn.Module
    torchvision_heads: ClassVar[Mapping[str, str]] = {}
    torchvision_note: ClassVar[str] = ""
    load_report: LoadReport | None = None

    def diagram(self) -> Diagram:
        """Say which blocks the network is made of, and what feeds each, for its drawing."""
        raise NotImplementedError

    def fill(self, weights: str | None) -> Self:
        """Fill the backbone, and the head where the source has one, in place; return the network.

        Args:
            weights: None for nothing, ``imagenet`` or a path (see `load_network`).

        Raises:
            CheckpointError: the weights cannot be had, read or fitted.
        """
        if weights is not None:
            self.load_report = load_network(
                self,
                weights,
                torchvision_name=str(self.backbone.torchvision_weights),
                torchvision_heads=self.torchvision_heads,
                torchvision_note=self.torchvision_note,
            )
        return self
