"""Atrous spatial pyramid pooling (ASPP): parallel convolutions of different dilation rates."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlcvcli.models.diagram import Block, Sketch
from dlcvcli.models.layers import conv3x3, conv_bn_relu

# Dilation rates by output stride (Chen et al. 2017, arXiv:1706.05587, section 3.3).
ASPP_DILATIONS = {16: (6, 12, 18), 8: (12, 24, 36)}


class ASPP(nn.Module):
    """Five parallel branches joined by a 1x1 convolution (Chen et al. 2017, section 3.3).

    The branches are a 1x1 convolution, three dilated 3x3 convolutions and the mean over the map.
    ``[N, in_channels, H, W]`` to ``[N, channels, H, W]``, any H, W.

    Args:
        in_channels: channels of the input.
        dilations: dilation rates of the three 3x3 convolutions, in cells.
        channels: channels of each branch and of the output.
        separable: whether the 3x3 convolutions are depthwise separable.
        dropout: dropout probability of the output.
    """

    def __init__(
        self,
        in_channels: int,
        dilations: tuple[int, int, int],
        *,
        channels: int = 256,
        separable: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.point = conv_bn_relu(in_channels, channels)
        self.atrous = nn.ModuleList(
            conv3x3(in_channels, channels, dilation=dilation, separable=separable)
            for dilation in dilations
        )
        self.image = nn.Sequential(nn.AdaptiveAvgPool2d(1), conv_bn_relu(in_channels, channels))
        self.project = nn.Sequential(
            conv_bn_relu(5 * channels, channels),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the joined map."""
        image = self.image(x).expand(-1, -1, x.shape[2], x.shape[3])
        branches = [self.point(x), *(branch(x) for branch in self.atrous), image]
        joined: Tensor = self.project(torch.cat(branches, dim=1))
        return joined

    def sketch(self, sketch: Sketch, after: Block) -> float:
        """Add the module ``aspp`` of a network to its diagram, in columns 1 to 3.

        Args:
            sketch: the diagram.
            after: the block that feeds it, in whose row it is centred.

        Returns:
            The row of its last block, ``project``.
        """
        titles = {"aspp.point": "point"}
        titles |= {f"aspp.atrous.{index}": "atrous" for index in range(len(self.atrous))}
        titles |= {"aspp.image": "image pooling"}
        names = tuple(titles)
        first = after.row - 2
        for index, name in enumerate(names):
            row = first + 0.75 * index
            sketch.run(name, "context", (1, row), after.name, name, title=titles[name])
        middle = first + 0.75 * (len(names) - 1) / 2
        sketch.join("branches", "concatenate", (2, middle), names)
        sketch.run("project", "context", (3, middle), "branches", "aspp.project")
        return middle
