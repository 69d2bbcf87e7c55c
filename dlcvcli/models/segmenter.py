"""A segmentation network with its pre- and post-processing: uint8 images in, class ids out.

Training, validation, evaluation under PyTorch and the exported graph all run this module, so that
none of them can normalise, pad or resize in a way of its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlcvcli.models.normalise import Normalise


class Segmenter(nn.Module):
    """Normalise, pad to the stride, run the network, crop, resize the logits, take the argmax.

    Args:
        network: float32 [N, 3, H, W] -> {"out": logits [N, C, H, W]}.
        stride: height and width are padded, right and bottom, to a multiple of this.
    """

    def __init__(self, network: nn.Module, stride: int) -> None:
        super().__init__()
        self.network = network
        self.stride = stride
        self.normalise = Normalise()

    def network_outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return the network's outputs at the images' own size, for training.

        Args:
            images: uint8 [N, H, W, 3].
        """
        height, width = images.shape[1], images.shape[2]
        # The padding is zero after normalisation: the mean colour.
        padded = F.pad(self.normalise(images), (0, -width % self.stride, 0, -height % self.stride))
        outputs: dict[str, Tensor] = self.network(padded)
        return {name: out[:, :, :height, :width] for name, out in outputs.items()}

    def logits(self, images: Tensor, height: int, width: int) -> Tensor:
        """Return float [N, C, height, width]: bilinear, corners not aligned, no antialiasing.

        Args:
            images: uint8 [N, H, W, 3].
            height, width: of the mask wanted, usually the annotation's own.
        """
        out = self.network_outputs(images)["out"]
        return F.interpolate(out, size=(height, width), mode="bilinear", align_corners=False)

    def forward(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Return class ids, uint8 [N, height, width].

        Args:
            images: uint8 [N, H, W, 3].
            size: (height, width) of the mask wanted.
        """
        return self.logits(images, *size).argmax(dim=1).to(torch.uint8)
