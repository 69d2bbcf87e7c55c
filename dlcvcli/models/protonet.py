"""A prototypical network: an encoder with its preprocessing, and a distance.

Training, validation, evaluation with PyTorch and the exported graphs all run these modules.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlcvcli.models.distances import Distance
from dlcvcli.models.image_encoder import ImageEncoder


class ProtoNet(nn.Module):
    """Classify queries by their distance to the mean embedding of each class's support set.

    Snell et al. 2017, arXiv:1703.05175, section 2.

    Args:
        encoder: computes the embeddings.
        distance: computes the logits from queries and prototypes.
    """

    def __init__(self, encoder: ImageEncoder, distance: Distance) -> None:
        super().__init__()
        self.encoder = encoder
        self.distance = distance

    def forward(self, support: Tensor, query: Tensor) -> Tensor:
        """Return the logits of episodes, float32 ``[B, M, N]``.

        The encoder gets support and query sets as one batch, which BatchNorm normalises together.

        Args:
            support: uint8 ``[B, N, K, H, W, 3]``.
            query: uint8 ``[B, M, H, W, 3]``.
        """
        episodes, ways, shots = support.shape[:3]
        images = torch.cat([support.flatten(0, 2), query.flatten(0, 1)])
        embeddings = self.encoder(images)
        supports, queries = embeddings.split([episodes * ways * shots, query.shape[1] * episodes])
        return self.logits(
            supports.unflatten(0, (episodes, ways, shots)), queries.unflatten(0, (episodes, -1))
        )

    def logits(self, support: Tensor, query: Tensor) -> Tensor:
        """Return the logits of episodes from their embeddings, float32 ``[..., M, N]``.

        Args:
            support: float ``[..., N, K, D]``.
            query: float ``[..., M, D]``.
        """
        # Squared distances overflow in half precision, which is for the encoder alone.
        with torch.autocast(query.device.type, enabled=False):
            prototypes = support.float().mean(dim=-2)
            logits: Tensor = self.distance(query.float(), prototypes)
        return logits
