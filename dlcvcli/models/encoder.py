"""The base class of encoders."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import nn

from dlcvcli.errors import UsageError
from dlcvcli.models.diagram import Diagram, Sketch, Stage
from dlcvcli.models.network import Network
from dlcvcli.models.observation import in_mode
from dlcvcli.models.weights import load_backbone


class Encoder(Network):
    """Base of the networks that return embeddings, float ``[N, D]``.

    Attributes:
        any_size: whether D is the same for every image size, because the embedding is the mean of
            the last map. If not, it is the flattened map.
        torchvision_weights: the weights that ``imagenet`` means, as ``Enum.MEMBER``; empty for
            none.
    """

    gives = "vectors"
    any_size: ClassVar[bool] = True
    torchvision_weights: str = ""

    @property
    def feature_extractor(self) -> nn.Module:
        return self

    def fill(self, weights: str | None) -> Self:
        """Load weights into the encoder in place.

        Args:
            weights: None for none, ``imagenet`` or a path (see `load_backbone`).

        Returns:
            The encoder itself.

        Raises:
            CheckpointError: the weights cannot be found or read, or do not fit.
            UsageError: ``imagenet``, and there are no such weights.
        """
        if weights == "imagenet" and not self.torchvision_weights:
            raise UsageError(
                f"there are no ImageNet weights for {type(self).__name__}",
                "leave --weights out, or give it the path of a file",
            )
        if weights is not None:
            self.load_report = load_backbone(
                self, weights, torchvision_name=self.torchvision_weights
            )
        return self

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages for the diagram, up to the last map."""
        raise NotImplementedError

    def diagram(self) -> Diagram:
        """Return the stages in one column, with the embedding below the last."""
        sketch = Sketch(self.stages(), root="")
        sketch.embedding("mean" if self.any_size else "flatten")
        return sketch.diagram()

    @torch.inference_mode()
    def dimension(self, size: tuple[int, int]) -> int:
        """Return D for images of a size (height, width)."""
        like = next(self.parameters())
        image = torch.zeros(1, 3, *size, dtype=like.dtype, device=like.device)
        with in_mode(self, training=False):
            return int(self(image).shape[1])
