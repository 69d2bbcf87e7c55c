"""How like a query is to a prototype, as layers: the logits of a prototypical network.

`dlcvcli.prototypes` has the same in numpy, for what runs without torch.
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

    A larger logit is a nearer prototype.
    """

    def spec(self) -> dict[str, Any]:
        """Return what `dlcvcli.prototypes.read_distance` makes the same distance of."""
        raise NotImplementedError


class EuclideanDistance(Distance):
    """Minus the squared Euclidean distance (Snell et al. 2017, arXiv:1703.05175, eq. 2)."""

    def forward(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """Compute ``-||q - c||²``."""
        cross = query @ prototypes.transpose(-1, -2)
        own = query.square().sum(-1, keepdim=True)
        other = prototypes.square().sum(-1).unsqueeze(-2)
        return 2 * cross - own - other

    def spec(self) -> dict[str, Any]:
        """See `Distance.spec`."""
        return {"name": "euclidean"}


class CosineDistance(Distance):
    """The cosine of both, each scaled to length 1, times a learnable scale.

    Without one the logits stay in [-1, 1], and no softmax of them comes near certainty (Gidaris and
    Komodakis 2018, arXiv:1804.09458, section 3.2, where it starts at 10 as well). It is kept as its
    logarithm, so that it stays positive and Adam moves it by a share of itself.

    Args:
        scale: that it starts from, above 0.
    """

    def __init__(self, scale: float = 10.0) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(scale)))

    def forward(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """Compute ``scale * cos(q, c)``."""
        cosines = F.normalize(query, dim=-1) @ F.normalize(prototypes, dim=-1).transpose(-1, -2)
        return self.log_scale.exp() * cosines

    def spec(self) -> dict[str, Any]:
        """See `Distance.spec`."""
        return {"name": "cosine", "scale": float(self.log_scale.detach().exp())}


class ParametricDistance(Distance):
    """A learned function of the pair: linear layers with ReLU between over ``[q, c]``.

    Args:
        dimension: D.
        hidden: width of the layers between.
        layers: how many linear layers there are, at least 2.
    """

    def __init__(self, dimension: int, hidden: int = 128, layers: int = 3) -> None:
        super().__init__()
        # The first layer over [q, c] is one for each of the two: pairs need not be laid out.
        self.of_query = nn.Linear(dimension, hidden)
        self.of_prototype = nn.Linear(dimension, hidden, bias=False)
        widths = [hidden] * (layers - 1) + [1]
        self.rest = nn.ModuleList(
            nn.Linear(before, after) for before, after in itertools.pairwise(widths)
        )

    def forward(self, query: Tensor, prototypes: Tensor) -> Tensor:
        """Compute the function of every pair."""
        x = self.of_query(query).unsqueeze(-2) + self.of_prototype(prototypes).unsqueeze(-3)
        for layer in self.rest:
            x = layer(F.relu(x))
        logits: Tensor = x.squeeze(-1)
        return logits

    def spec(self) -> dict[str, Any]:
        """See `Distance.spec`; holds the weights."""
        weights = {k: packed(v.detach().cpu().numpy()) for k, v in self.state_dict().items()}
        return {"name": "parametric", "weights": weights}


def build_distance(
    name: DistanceName, dimension: int, *, scale: float = 10.0, hidden: int = 128, layers: int = 3
) -> Distance:
    """Build a distance by name.

    Args:
        name: which.
        dimension: of the embeddings.
        scale: see `CosineDistance`.
        hidden, layers: see `ParametricDistance`.
    """
    match name:
        case "euclidean":
            return EuclideanDistance()
        case "cosine":
            return CosineDistance(scale)
        case "parametric":
            return ParametricDistance(dimension, hidden, layers)
