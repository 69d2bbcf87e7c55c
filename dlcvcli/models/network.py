"""The base classes of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from torch import nn

from dlcvcli.models.diagram import Diagram
from dlcvcli.models.entry import Gives
from dlcvcli.models.weights import LoadReport, load_network


class Network(nn.Module):
    """Base of all networks that take normalised images, float ``[N, 3, H, W]``.

    Attributes:
        gives: what it returns, as in the registry.
        load_report: which weights were loaded; None where none were.
    """

    gives: ClassVar[Gives]
    load_report: LoadReport | None = None

    @property
    def feature_extractor(self) -> nn.Module:
        """The part before the head, up to the deepest feature map."""
        raise NotImplementedError

    def diagram(self) -> Diagram:
        """Return the blocks of the network and the connections between them, for its drawing."""
        raise NotImplementedError


class SegmentationNetwork(Network):
    """Base of the networks that return ``{"out": logits}``.

    In training a network may also return the logits of an auxiliary head as ``aux``. All logits are
    float ``[N, num_classes, H, W]``.

    Attributes:
        backbone: the feature extractor, with the name of torchvision's weights as
            `torchvision_weights`.
        torchvision_heads: prefix of a head's parameter names here -> prefix in torchvision's
            network of the same architecture, where there is one.
        torchvision_note: how torchvision's network differs, for the load report.
    """

    gives = "masks"
    backbone: nn.Module
    torchvision_heads: ClassVar[Mapping[str, str]] = {}
    torchvision_note: ClassVar[str] = ""

    @property
    def feature_extractor(self) -> nn.Module:
        return self.backbone

    def fill(self, weights: str | None) -> Self:
        """Load weights into the backbone, and into the head where the source has one, in place.

        Args:
            weights: None for none, ``imagenet`` or a path (see `load_network`).

        Returns:
            The network itself.

        Raises:
            CheckpointError: the weights cannot be found or read, or do not fit.
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
