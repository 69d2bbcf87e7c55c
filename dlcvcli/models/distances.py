"""Distances between queries and prototypes as layers: the logits of a prototypical network.

`dlcvcli.prototypes` has the same in numpy, for the install without torch.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlcvcli.config.names import DistanceName
from dlcvcli.prototypes import packed


class Distance(nn.Module):
    """Base: float32 queries ``[..., M, D]`` and prototypes ``[..., N, D]`` to ``[..., M, N]``.

    A larger value means a nearer prototype.
    """

    def spec(self) -> dict[str, Any]:
        """Return the description from which `dlcvcli.prototypes.read_distance` builds the same."""
        raise NotImplementedError


class EuclideanDistance(Distance):
    """The negative squared Euclidean distance (Snell et al. 2017, arXiv:1703.05175, eq. 2)."""

    def forward(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """Return ``-||q - c||²``."""
        cross = query @ prototypes.transpose(-1, -2)
        own = query.square().sum(-1, keepdim=True)
        other = prototypes.square().sum(-1).unsqueeze(-2)
        return 2 * cross - own - other

    def spec(self) -> dict[str, Any]:
        return {"name": "euclidean"}


class CosineDistance(Distance):
    """The cosine similarity times a learnable scale.

    Without the scale, logits in [-1, 1] would limit how confident the softmax can be (Gidaris and
    Komodakis 2018, arXiv:1804.09458, section 3.2, whose initial value is 10 as well). The parameter
    is the logarithm of the scale, so that it stays positive and Adam changes it by a fraction.

    Args:
        scale: initial value, above 0.
    """

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """Return ``scale * cos(q, c)``."""
        cosines = F.normalize(query, dim=-1) @ F.normalize(prototypes, dim=-1).transpose(-1, -2)
        return self.log_scale.exp() * cosines

    def spec(self) -> dict[str, Any]:
        return {"name": "cosine", "scale": float(self.log_scale.detach().exp())}


class ParametricDistance(Distance):
    """A learned function of the pair ``[q, c]``: linear layers with ReLU between them.

    Args:
        dimension: D.
        hidden: width of the hidden layers.
        layers: number of linear layers, at least 2.
    """

    def __init__(self, dimension: int, hidden: int = 128, layers: int = 3) -> None:
        super().__init__()
        # The first layer is split into its two halves, so that no tensor of pairs [q, c] is needed.
        self.of_query = nn.Linear(dimension, hidden)
        self.of_prototype = nn.Linear(dimension, hidden, bias=False)
        widths = [hidden] * (layers - 1) + [1]
        self.rest = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(widths)
        )

    def forward(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """Return the function's value of every pair."""
        x = self.of_query(query).unsqueeze(-2) + self.of_prototype(prototypes).unsqueeze(-3)
        for layer in self.rest:
            x = layer(F.relu(x))
        logits: Tensor = x.squeeze(-1)
        return logits

    def spec(self) -> dict[str, Any]:
        weights = {k: packed(v.detach().cpu().numpy()) for k, v in self.state_dict().items()}
        return {"name": "parametric", "weights": weights}


def build_distance(
    name: DistanceName, dimension: int, *, scale: float = 10.0, hidden: int = 128, layers: int = 3
) -> Distance:
    """Build a distance by name.

    Args:
        name: name of the distance.
        dimension: length of the embeddings.
        scale: of `CosineDistance`.
        hidden, layers: of `ParametricDistance`.
    """
    match name:
        case "euclidean":
            return EuclideanDistance()
        case "cosine":
            return CosineDistance(scale)
        case "parametric":
            return ParametricDistance(dimension, hidden, layers)
