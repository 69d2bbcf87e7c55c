"""FCN: a classifier made fully convolutional, its scores enlarged by a bilinear deconvolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlcvcli.models.backbones import VGG16, VGGFeatures
from dlcvcli.models.diagram import Diagram, Sketch
from dlcvcli.models.network import SegmentationNetwork


def bilinear_kernel(size: int) -> Tensor:
    """Compute the kernel with which a transposed convolution interpolates bilinearly.

    w[i, j] = (1 - |i - c| / f) (1 - |j - c| / f), f = ceil(size / 2), c = f - 1 for an odd size
    and f - 1/2 for an even one (Long et al. 2015, section 3.3, as in their published code).

    Args:
        size: edge of the kernel in pixels, at least 1; twice the stride for a stride above 1.

    Returns:
        float32 ``[size, size]``, values in (0, 1].
    """
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 == 1 else factor - 0.5
    ramp = 1 - (torch.arange(size, dtype=torch.float64) - centre).abs() / factor
    return torch.outer(ramp, ramp).float()


class BilinearUpsample(nn.Module):
    """Enlarge maps by a transposed convolution that starts as bilinear interpolation.

    ``[N, channels, h, w]`` to ``[N, channels, h * stride, w * stride]``, each channel by itself:
    kernel twice the stride, padding half of it. Less than half a stride from the border the
    kernel meets cells that are not there, counted as zero; that weakens the logits of a pixel all
    by the same factor, so the best class stays the best.

    Args:
        channels: number of channels.
        stride: even.
        learnt: whether training changes the kernel. If not, it is a buffer, which no optimiser and
            no unfreezing reaches.
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
        """Enlarge the maps."""
        return F.conv_transpose2d(
            x,
            self.weight,
            stride=self.stride,
            padding=self.stride // 2,
            groups=self.weight.shape[0],
        )


class FCN(SegmentationNetwork):
    """Base of the FCNs on VGG-16: everything but how scores are fused and enlarged.

    Images are padded with zeros, at the right and below, to a multiple of 32; the logits are
    cropped back. A kind of FCN says in `fuse` how features become logits.

    Args:
        num_classes: channels of the logits.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.backbone: VGG16 = VGG16()
        self.score = zero_score(4096, num_classes)

    def fuse(self, features: VGGFeatures) -> Tensor:
        """Turn features into logits at the size of the padded image."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Classify every pixel.

        Args:
            x: normalised images, float ``[N, 3, H, W]``, any H, W.

        Returns:
            ``{"out": logits}``, float ``[N, num_classes, H, W]``.
        """
        height, width = x.shape[2], x.shape[3]
        # Not only when needed: a branch on the size would fix the size of an exported graph.
        padded = F.pad(x, (0, -width % 32, 0, -height % 32))
        features: VGGFeatures = self.backbone(padded)
        return {"out": self.fuse(features)[:, :, :height, :width]}

    def diagram(self) -> Diagram:
        """Lay out VGG-16 down the left and along the bottom, the scores up the right."""
        sketch = Sketch(self.backbone.stages())
        deepest = sketch.tap("pool5")
        bottom = deepest.row + 1
        sketch.run("fc6", "backbone", (0, bottom), deepest.name, "backbone.fc6")
        sketch.run("fc7", "backbone", (1, bottom), "fc6", "backbone.fc7")
        sketch.run("score", "classifier", (2, bottom), "fc7", "score")
        self.sketch_fusion(sketch)
        return sketch.diagram()

    def sketch_fusion(self, sketch: Sketch) -> None:
        """Add to a diagram what `fuse` does with the block ``score`` and the taps."""
        raise NotImplementedError


class FCN32s(FCN):
    """FCN-32s: the scores at stride 32, enlarged at once (Long et al. 2015, arXiv:1411.4038).

    The score layer starts at zero (section 4.3), so at first every class is as likely as another.

    Args:
        num_classes: channels of the logits.
        learn_upsampling: whether training changes the bilinear kernel; the paper keeps the last
            one fixed.
    """

    def __init__(self, num_classes: int, *, learn_upsampling: bool = False) -> None:
        super().__init__(num_classes)
        self.upscore = BilinearUpsample(num_classes, 32, learnt=learn_upsampling)

    def fuse(self, features: VGGFeatures) -> Tensor:
        """Score the deepest map and enlarge it 32 times."""
        logits: Tensor = self.upscore(self.score(features.fc7))
        return logits

    def sketch_fusion(self, sketch: Sketch) -> None:
        """Add the one step up."""
        sketch.run("upscore", "upsampling", (2, 3), "score", "upscore")
        sketch.logits((2, 0), "upscore")


class FCN16s(FCN):
    """FCN-16s: the deepest scores, doubled, meet those of pool4 (Long et al. 2015, section 4.2).

    Every score layer starts at zero, so at first the deeper one alone decides what is learned.

    Args:
        num_classes: channels of the logits.
        learn_upsampling: whether training changes the bilinear kernels; the paper learns those
            between and keeps the last fixed.
    """

    def __init__(self, num_classes: int, *, learn_upsampling: bool = False) -> None:
        super().__init__(num_classes)
        self.score_pool4 = zero_score(512, num_classes)
        self.upscore2 = BilinearUpsample(num_classes, 2, learnt=learn_upsampling)
        self.upscore = BilinearUpsample(num_classes, 16, learnt=learn_upsampling)

    def fuse(self, features: VGGFeatures) -> Tensor:
        """Add the scores of pool4 at stride 16, and enlarge the sum 16 times."""
        scores = self.upscore2(self.score(features.fc7)) + self.score_pool4(features.pool4)
        logits: Tensor = self.upscore(scores)
        return logits

    def sketch_fusion(self, sketch: Sketch) -> None:
        """Add the sum with pool4, and the step up from it."""
        sketch_sum(sketch, "upscore2", "score", column=2, pool="pool4")
        sketch.run("upscore", "upsampling", (2, 2), "sum_pool4", "upscore")
        sketch.logits((2, 0), "upscore")


class FCN8s(FCN):
    """FCN-8s: as FCN-16s, and the scores of pool3 as well (Long et al. 2015, section 4.2).

    All streams are trained at once. The paper trains one after the other, or at once with pool4
    scaled by 0.01 and pool3 by 0.0001, since its features, of images with values up to 255, are
    large; of normalised images they are not.

    Arguments are those of `FCN16s`.
    """

    def __init__(self, num_classes: int, *, learn_upsampling: bool = False) -> None:
        super().__init__(num_classes)
        self.score_pool4 = zero_score(512, num_classes)
        self.score_pool3 = zero_score(256, num_classes)
        self.upscore2 = BilinearUpsample(num_classes, 2, learnt=learn_upsampling)
        self.upscore4 = BilinearUpsample(num_classes, 2, learnt=learn_upsampling)
        self.upscore = BilinearUpsample(num_classes, 8, learnt=learn_upsampling)

    def fuse(self, features: VGGFeatures) -> Tensor:
        """Add the scores of pool4 and of pool3, each at its stride, and enlarge the sum 8 times."""
        scores = self.upscore2(self.score(features.fc7)) + self.score_pool4(features.pool4)
        scores = self.upscore4(scores) + self.score_pool3(features.pool3)
        logits: Tensor = self.upscore(scores)
        return logits

    def sketch_fusion(self, sketch: Sketch) -> None:
        """Add the sums with pool4 and pool3, each a column further, and the step up from them."""
        sketch_sum(sketch, "upscore2", "score", column=2, pool="pool4")
        sketch_sum(sketch, "upscore4", "sum_pool4", column=3, pool="pool3")
        sketch.run("upscore", "upsampling", (3, 1.5), "sum_pool3", "upscore")
        sketch.logits((3, 0), "upscore")


def sketch_sum(sketch: Sketch, upscore: str, after: str, *, column: int, pool: str) -> None:
    """Add to a diagram: a pool's scores, deeper scores enlarged below them, and their sum.

    Args:
        sketch: with VGG-16 in it.
        upscore: the module that enlarges the deeper scores.
        after: the block that gives them.
        column: where the sum stands, at the height of the pool.
        pool: the tap; its scores come from the module ``score_POOL``.
    """
    tap, scores = sketch.tap(pool), f"score_{pool}"
    sketch.run(scores, "classifier", (1, tap.row), tap.name, scores)
    sketch.run(upscore, "upsampling", (column, tap.row + 1), after, upscore)
    sketch.join(f"sum_{pool}", "add", (column, tap.row), (scores, upscore))


def fcn32s_vgg16(
    *, num_classes: int, weights_backbone: str | None = None, learn_upsampling: bool = False
) -> FCN32s:
    """Build FCN-32s on VGG-16.

    Args:
        num_classes: channels of the logits.
        weights_backbone: None, ``imagenet`` or a path (see `load_backbone`); fc6 and fc7 are taken
            from the classifier's first two linear layers.
        learn_upsampling: whether training changes the bilinear kernels.

    Raises:
        CheckpointError: the weights cannot be had, read or fitted.
    """
    return FCN32s(num_classes, learn_upsampling=learn_upsampling).fill(weights_backbone)


def fcn16s_vgg16(
    *, num_classes: int, weights_backbone: str | None = None, learn_upsampling: bool = False
) -> FCN16s:
    """Build FCN-16s on VGG-16; arguments and errors are those of `fcn32s_vgg16`."""
    return FCN16s(num_classes, learn_upsampling=learn_upsampling).fill(weights_backbone)


def fcn8s_vgg16(
    *, num_classes: int, weights_backbone: str | None = None, learn_upsampling: bool = False
) -> FCN8s:
    """Build FCN-8s on VGG-16; arguments and errors are those of `fcn32s_vgg16`."""
    return FCN8s(num_classes, learn_upsampling=learn_upsampling).fill(weights_backbone)


def zero_score(channels: int, num_classes: int) -> nn.Conv2d:
    """Make a 1x1 convolution ``[N, channels, h, w]`` to ``[N, num_classes, h, w]``, all zeros."""
    score = nn.Conv2d(channels, num_classes, 1)
    nn.init.zeros_(score.weight)
    if score.bias is not None:
        nn.init.zeros_(score.bias)
    return score
