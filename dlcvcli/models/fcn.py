"""FCN: a fully convolutional classifier whose scores are upsampled by transposed convolutions.

Each function builds a network from ``num_classes``, ``weights_backbone`` (None, ``imagenet`` or a
path; see `load_network`) and the option ``learn_upsampling``: whether training changes the bilinear
kernels. fc6 and fc7 take the weights of the first two linear layers of VGG-16's classifier.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlcvcli.models.backbones import VGG16, VGGFeatures
from dlcvcli.models.diagram import Diagram, Sketch
from dlcvcli.models.network import SegmentationNetwork


def bilinear_kernel(size: int) -> Tensor:
    """Return the kernel with which a transposed convolution interpolates bilinearly.

    w[i, j] = (1 - |i - c| / f) (1 - |j - c| / f), f = ceil(size / 2), c = f - 1 for an odd size
    and f - 1/2 for an even one (Long et al. 2015, section 3.3, as in their published code).

    Args:
        size: side of the kernel in pixels, at least 1; twice the stride for a stride above 1.

    Returns:
        float32 ``[size, size]``, values in (0, 1].
    """
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 == 1 else factor - 0.5
    ramp = 1 - (torch.arange(size, dtype=torch.float64) - centre).abs() / factor
    return torch.outer(ramp, ramp).float()


class BilinearUpsample(nn.Module):
    """Upsample maps by a transposed convolution, initialised as bilinear interpolation.

    ``[N, channels, h, w]`` to ``[N, channels, h * stride, w * stride]``, each channel separately.
    The kernel is twice the stride and the padding half the stride. Cells beyond the border count as
    zero. Within half a stride of the border this scales all logits of a pixel by the same factor,
    so that the predicted class is the same.

    Args:
        channels: number of channels.
        stride: even.
        learnt: whether training changes the kernel. If not, it is a buffer, which optimisers and
            unfreezing do not touch.
    """

    weight: Tensor

    def __init__(self, channels: int, stride: int, *, learnt: bool = False) -> None:
        super().__init__()
        self.stride = stride
        kernel = bilinear_kernel(2 * stride).repeat(channels, 1, 1, 1)
        if learnt:
            self.weight = nn.Parameter(kernel)
        else:
            self.register_buffer("weight", kernel)

    def forward(self, x: Tensor) -> Tensor:
        """Return the upsampled maps."""
        return F.conv_transpose2d(
            x,
            self.weight,
            stride=self.stride,
            padding=self.stride // 2,
            groups=self.weight.shape[0],
        )


class FCN(SegmentationNetwork):
    """Base of the FCNs on VGG-16, which differ in `fuse`.

    Images are padded with zeros at the right and bottom to a multiple of 32, and the logits are
    cropped to the image.

    Args:
        num_classes: channels of the logits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone: VGG16 = VGG16()
        self.score = zero_score(4096, num_classes)

    def fuse(self, features: VGGFeatures) -> Tensor:
        """Return logits at the size of the padded image."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return the logits of every pixel.

        Args:
            x: normalised images, float ``[N, 3, H, W]``, any H, W.

        Returns:
            ``{"out": logits}``, float ``[N, num_classes, H, W]``.
        """
        height, width = x.shape[2], x.shape[3]
        # Always called: a branch on the size would fix the size of an exported graph.
        padded = F.pad(x, (0, -width % 32, 0, -height % 32))
        features: VGGFeatures = self.backbone(padded)
        return {"out": self.fuse(features)[:, :, :height, :width]}

    def diagram(self) -> Diagram:
        """Return the diagram: VGG-16 on the left and at the bottom, the scores on the right."""
        sketch = Sketch(self.backbone.stages())
        deepest = sketch.tap("pool5")
        bottom = deepest.row + 1
        sketch.run("fc6", "backbone", (0, bottom), deepest.name, "backbone.fc6")
        sketch.run("fc7", "backbone", (1, bottom), "fc6", "backbone.fc7")
        sketch.run("score", "classifier", (2, bottom), "fc7", "score")
        self.sketch_fusion(sketch)
        return sketch.diagram()

    def sketch_fusion(self, sketch: Sketch) -> None:
        """Add the blocks of `fuse` to a diagram, after the block ``score`` and the taps."""
        raise NotImplementedError


class FCN32s(FCN):
    """FCN-32s: scores at stride 32, upsampled in one step (Long et al. 2015, arXiv:1411.4038).

    The score layer is initialised to zero (section 4.3), which makes all classes equally likely.

    Args:
        num_classes: channels of the logits.
        learn_upsampling: whether training changes the bilinear kernel. In the paper the last
            upsampling is fixed.
    """

    def __init__(self, num_classes: int, *, learn_upsampling: bool = False) -> None:
        super().__init__(num_classes)
        self.upscore = BilinearUpsample(num_classes, 32, learnt=learn_upsampling)

    def fuse(self, features: VGGFeatures) -> Tensor:
        """Return the scores of fc7, upsampled 32 times."""
        logits: Tensor = self.upscore(self.score(features.fc7))
        return logits

    def sketch_fusion(self, sketch: Sketch) -> None:
        """Add the upsampling of the scores."""
        sketch.run("upscore", "upsampling", (2, 3), "score", "upscore")
        sketch.logits((2, 0), "upscore")


class FCN16s(FCN):
    """FCN-16s: adds the scores of pool4 to the upsampled scores of fc7 (Long et al. 2015, 4.2).

    All score layers are initialised to zero.

    Args:
        num_classes: channels of the logits.
        learn_upsampling: whether training changes the bilinear kernels. In the paper the last
            upsampling is fixed and the others are learned.
    """

    def __init__(self, num_classes: int, *, learn_upsampling: bool = False) -> None:
        super().__init__(num_classes)
        self.score_pool4 = zero_score(512, num_classes)
        self.upscore2 = BilinearUpsample(num_classes, 2, learnt=learn_upsampling)
        self.upscore = BilinearUpsample(num_classes, 16, learnt=learn_upsampling)

    def fuse(self, features: VGGFeatures) -> Tensor:
        """Return the sum of scores at stride 16, upsampled 16 times."""
        scores = self.upscore2(self.score(features.fc7)) + self.score_pool4(features.pool4)
        logits: Tensor = self.upscore(scores)
        return logits

    def sketch_fusion(self, sketch: Sketch) -> None:
        """Add the sum with pool4 and its upsampling."""
        sketch_sum(sketch, "upscore2", "score", column=2, pool="pool4")
        sketch.run("upscore", "upsampling", (2, 2), "sum_pool4", "upscore")
        sketch.logits((2, 0), "upscore")


class FCN8s(FCN):
    """FCN-8s: FCN-16s with the scores of pool3 as well (Long et al. 2015, section 4.2).

    All scores are trained at once. The paper adds them one after the other, or at once with pool4
    scaled by 0.01 and pool3 by 0.0001, because images with values up to 255 give large features;
    normalised images do not.

    The arguments are those of `FCN16s`.
    """

    def __init__(self, num_classes: int, *, learn_upsampling: bool = False) -> None:
        super().__init__(num_classes)
        self.score_pool4 = zero_score(512, num_classes)
        self.score_pool3 = zero_score(256, num_classes)
        self.upscore2 = BilinearUpsample(num_classes, 2, learnt=learn_upsampling)
        self.upscore4 = BilinearUpsample(num_classes, 2, learnt=learn_upsampling)
        self.upscore = BilinearUpsample(num_classes, 8, learnt=learn_upsampling)

    def fuse(self, features: VGGFeatures) -> Tensor:
        """Return the sum of scores at stride 8, upsampled 8 times."""
        scores = self.upscore2(self.score(features.fc7)) + self.score_pool4(features.pool4)
        scores = self.upscore4(scores) + self.score_pool3(features.pool3)
        logits: Tensor = self.upscore(scores)
        return logits

    def sketch_fusion(self, sketch: Sketch) -> None:
        """Add the sums with pool4 and pool3, and the upsampling of the last."""
        sketch_sum(sketch, "upscore2", "score", column=2, pool="pool4")
        sketch_sum(sketch, "upscore4", "sum_pool4", column=3, pool="pool3")
        sketch.run("upscore", "upsampling", (3, 1.5), "sum_pool3", "upscore")
        sketch.logits((3, 0), "upscore")


def sketch_sum(sketch: Sketch, upscore: str, after: str, *, column: int, pool: str) -> None:
    """Add the scores of a pool, the upsampled deeper scores and their sum to a diagram.

    Args:
        sketch: a diagram with VGG-16 in it.
        upscore: the module that upsamples the deeper scores.
        after: the block of the deeper scores.
        column: column of the sum; its row is that of the pool.
        pool: the tap, whose scores are the output of the module ``score_POOL``.
    """
    tap, scores = sketch.tap(pool), f"score_{pool}"
    sketch.run(scores, "classifier", (1, tap.row), tap.name, scores)
    sketch.run(upscore, "upsampling", (column, tap.row + 1), after, upscore)
    sketch.join(f"sum_{pool}", "add", (column, tap.row), (scores, upscore))


def zero_score(channels: int, num_classes: int) -> nn.Conv2d:
    """Return a 1x1 convolution from `channels` to `num_classes` channels, initialised to zero."""
    score = nn.Conv2d(channels, num_classes, 1)
    nn.init.zeros_(score.weight)
    if score.bias is not None:
        nn.init.zeros_(score.bias)
    return score


def _builder(kind: Callable[..., FCN]) -> Callable[..., FCN]:
    """Return the builder of an FCN."""

    def build(
        *, num_classes: int, weights_backbone: str | None = None, learn_upsampling: bool = False
    ) -> FCN:
        return kind(num_classes, learn_upsampling=learn_upsampling).fill(weights_backbone)

    return build


fcn32s_vgg16 = _builder(FCN32s)
fcn16s_vgg16 = _builder(FCN16s)
fcn8s_vgg16 = _builder(FCN8s)
