"""Facts about a network that are known without importing it. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

# masks: logits of every pixel. vectors: one embedding per image.
Gives = Literal["masks", "vectors"]

OUTPUTS: dict[str, str] = {
    "masks": "logits of every pixel",
    "vectors": "one embedding per image",
}

# Height and width at which networks are profiled and drawn by default. For encoders it is the size
# of mini-ImageNet (Vinyals et al. 2016, arXiv:1606.04080).
USUAL_SIZES: dict[Gives, tuple[int, int]] = {"masks": (512, 512), "vectors": (84, 84)}


@dataclass(frozen=True)
class Variant:
    """What changes in an entry with a value of an option of the builder."""

    option: str
    value: Any
    stride: int
    least_side: int


@dataclass(frozen=True)
class ModelEntry:
    """Facts about a network that are known without importing it.

    Attributes:
        name: its name on the command line.
        gives: what it returns for a batch of images.
        builder: ``module:function``. The function takes keywords only: networks that give masks
            take ``num_classes`` and ``weights_backbone``, encoders take ``weights``.
        stride: pixels of the image per cell of the deepest feature map, at default options.
        min_train_batch: smallest number of images in a training batch: 2 where a BatchNorm sees
            1x1 maps, which have no variance within one image, else 1.
        summary: one line for the listing.
        source: the paper.
        weights: names of torchvision's weights that fit the backbone; ``imagenet`` means the first.
        least_side: smallest height and width that it takes, in pixels.
        only_size: the one size (height, width) that it takes; None for any.
        variants: values of options that change the stride.
        library_name: its name in its library, for a builder of many networks, which takes it as
            ``name``; empty for a builder of one.
    """

    name: str
    gives: Gives
    builder: str
    stride: int
    min_train_batch: int
    summary: str
    source: str
    weights: tuple[str, ...] = ()
    least_side: int = 1
    only_size: tuple[int, int] | None = None
    variants: tuple[Variant, ...] = ()
    library_name: str = ""

    @property
    def usual_size(self) -> tuple[int, int]:
        """Height and width at which it is profiled and drawn by default."""
        return self.only_size or USUAL_SIZES[self.gives]

    @property
    def has_classes(self) -> bool:
        """Whether its output has one channel per class."""
        return self.gives == "masks"

    @property
    def pad_multiple(self) -> int:
        """The number of pixels to a multiple of which height and width are padded."""
        return self.stride if self.gives == "masks" else 1
