"""What every encoder has: images in, one vector each out, and weights that can fill it."""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch import nn

from dlcvcli.errors import UsageError
from dlcvcli.models.diagram import Diagram, Sketch, Stage
from dlcvcli.models.observation import in_mode
from dlcvcli.models.weights import LoadReport, load_backbone


class Encoder(nn.Module):
    """Base of the encoders: normalised images ``[N, 3, H, W]`` to embeddings ``[N, D]``.

    Attributes:
        any_size: whether D is the same for every size of image, as the mean over the last map is;
            else the map is flattened.
        torchvision_weights: what ``imagenet`` means, as ``Enum.MEMBER``; empty where nothing does.
        load_report: what was loaded, None where nothing was.
    """

    any_size: ClassVar[bool] = True
    torchvision_weights: str = ""
    load_report: LoadReport | None = None

    def fill(self, weights: str | None) -> Self:
        """Fill the encoder in place and return it.

        Args:
            weights: None for nothing, ``imagenet`` or a path (see `load_backbone`).

        Raises:
            CheckpointError: the weights cannot be had, read or fitted.
            UsageError: ``imagenet``, and there are no such weights.
        """
        if weights == "imagenet" and not self.torchvision_weights:
            raise UsageError(
                f"there are no ImageNet weights for {type(self).__name__}",
                "leave --weights out, or name a file",
            )
        if weights is not None:
            self.load_report = load_backbone(
                self, weights, torchvision_name=self.torchvision_weights
            )
        return self

    def stages(self) -> tuple[Stage, ...]:
        """List the stages for the diagram, up to the last map."""
        raise NotImplementedError

    def diagram(self) -> Diagram:
        """Lay out the stages one below the other, and the embedding below the last."""
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
