"""The base class of encoders."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.errors import UsageError
from dlcvcli.models.diagram import Diagram, Pooling, Sketch, Stage
from dlcvcli.models.network import Network
from dlcvcli.models.observation import in_mode
from dlcvcli.models.weights import load_backbone


class Encoder(Network):
    """Base of the networks that return embeddings, float ``[N, D]``.

    Attributes:
        any_size: whether it takes images of every size from the entry's `least_side` on, with the
            same D, in PyTorch and as an exported graph. If not, a graph has one size.
        only_size: the one size (height, width) that it takes; None for any.
        pooling: how the embedding follows from the output of the last stage; ``none``, if it is
            the output.
        torchvision_weights: the weights that ``imagenet`` means, as ``Enum.MEMBER``; empty for
            none.
        mean, std: one number per RGB channel in [0, 1], by which its images are normalised.
        frozen: names of the submodules that stay in evaluation mode; see `freezing.freeze`.
    """

    gives = "vectors"
    any_size: bool = True
    only_size: tuple[int, int] | None = None
    pooling: Pooling = "mean"
    torchvision_weights: str = ""
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    frozen: tuple[str, ...] = ()

    @property
    def feature_extractor(self) -> nn.Module:
        return self

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all submodules but the frozen ones, which stay in evaluation mode."""
        super().train(mode)
        # By name, so that a copy of the encoder finds its own. In evaluation nothing is left to do.
        for name in self.frozen if mode else ():
            self.get_submodule(name).eval()
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
                self.feature_extractor, weights, torchvision_name=self.torchvision_weights
            )
        return self

    def stages(self) -> tuple[Stage, ...]:
        """Return the stages for the diagram, up to the pooling."""
        raise NotImplementedError

    def diagram(self) -> Diagram:
        """Return the stages in one column, with the embedding below the last."""
        sketch = Sketch(self.stages(), root="")
        sketch.embedding(self.pooling)
        return sketch.diagram()

    @torch.inference_mode()
    def dimension(self, size: tuple[int, int]) -> int:
        """Return D for images of a size (height, width)."""
        like = next(self.parameters())
        image = torch.zeros(1, 3, *size, dtype=like.dtype, device=like.device)
        with in_mode(self, training=False):
            return int(self(image).shape[1])
