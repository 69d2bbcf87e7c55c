"""A segmentation network with its pre- and postprocessing, from uint8 images to class ids.

Training, validation, evaluation with PyTorch and the exported graph all run this module, so that
they cannot normalise, pad or resize differently.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlcvcli.models.normalise import Normalise


class Segmenter(nn.Module):
    """Normalise, pad, run the network, crop, resize the logits, take the argmax.

    Args:
        network: float32 [N, 3, H, W] -> {"out": logits [N, C, H, W]}.
        stride: images are padded at the right and bottom to a multiple of this.
    """

    def __init__(self, network: nn.Module, stride: int) -> None:
        super().__init__()
        self.network = network
        self.stride = stride
        self.normalise = Normalise()

    def network_outputs(self, images: Tensor) -> dict[str, Tensor]:
        """Return the outputs of the network at the size of the images, for training.

        Args:
            images: uint8 [N, H, W, 3].
        """
        height, width = images.shape[1], images.shape[2]
        # Zero after normalisation is the mean colour.
        padded = F.pad(self.normalise(images), (0, -width % self.stride, 0, -height % self.stride))
        outputs: dict[str, Tensor] = self.network(padded)
        return {name: out[:, :, :height, :width] for name, out in outputs.items()}

    def logits(self, images: Tensor, height: int, width: int) -> Tensor:
        """Return logits, float [N, C, height, width], resized bilinearly without antialiasing.

        Args:
            images: uint8 [N, H, W, 3].
            height, width: size of the mask, usually that of the annotation.
        """
        out = self.network_outputs(images)["out"]
        return F.interpolate(out, size=(height, width), mode="bilinear", align_corners=False)

    def forward(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """Return class ids, uint8 [N, height, width].

        Args:
            images: uint8 [N, H, W, 3].
            size: (height, width) of the mask.
        """
        return self.logits(images, *size).argmax(dim=1).to(torch.uint8)
