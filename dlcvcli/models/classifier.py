"""A classifier: an encoder with its preprocessing, and a linear head.

Training, validation, evaluation with PyTorch and the exported graph all run this module.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dlcvcli.models.image_encoder import ImageEncoder


class Classifier(nn.Module):
    """Classify images by a linear layer on their embeddings, the features.

    Args:
        encoder: computes the features.
        num_classes: number of logits.
        dimension: number of features of an image, as `Encoder.dimension` returns it.
        dropout: probability of dropping a feature before the head, in training.
    """

    def __init__(
        self, encoder: ImageEncoder, num_classes: int, dimension: int, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(dimension, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of uint8 images ``[N, H, W, 3]``, float32 ``[N, num_classes]``."""
        return self.outputs(images)[0]

    def features(self, images: Tensor) -> Tensor:
        """Return the features of uint8 images ``[N, H, W, 3]``, float32 ``[N, dimension]``."""
        features: Tensor = self.encoder(images)
        return features.float()

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits and the features of uint8 images ``[N, H, W, 3]``, both float32."""
        features = self.features(images)
        return self._classify(features), features

    def forward_normalised(self, x: Tensor) -> Tensor:
        """Return the logits of normalised images, float ``[N, 3, H, W]``.

        Training mixes images (mixup, CutMix) after their normalisation by ``encoder.normalise``.
        """
        return self._classify(self.encoder.encoder(x))

    def _classify(self, features: Tensor) -> Tensor:
        # Half precision is for the encoder alone.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.head(self.dropout(features.float()))
        return logits
