"""An encoder with its preprocessing, which all tasks with encoders train and export."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from dlcvcli.data.normalise import MEAN, STD
from dlcvcli.models.encoder import Encoder
from dlcvcli.models.normalise import Normalise


class ImageEncoder(nn.Module):
    """An encoder with its preprocessing: uint8 images ``[N, H, W, 3]`` to float ``[N, D]``.

    Args:
        encoder: the network.
        mean, std: constants of its `Normalise`.
    """

    def __init__(
        self, encoder: Encoder, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.normalise = Normalise(mean, std)

    def forward(self, images: Tensor) -> Tensor:
        """Return the embeddings."""
        embeddings: Tensor = self.encoder(self.normalise(images))
        return embeddings
