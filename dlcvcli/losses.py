"""Segmentation losses, computed in float32 under any training precision, without ignored pixels.

A loss is a weighted sum of parts. A part is a mean: a sum over terms (labelled pixels, or images)
divided by their number. Sums and numbers are computed separately, because a global batch is spread
over ranks and accumulation parts with unequal numbers of terms: the sum over all of them must be
divided by the total number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# The gradient of x^gamma with gamma below 1 is unbounded at 0.
_SMALLEST_ERROR = 1e-6


class LossPart(nn.Module, ABC):
    """One part of a loss: a mean over terms.

    Args:
        ignore_index: id of the pixels to leave out.
    """

    def __init__(self, ignore_index: int) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    @abstractmethod
    def sum(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the sum over the terms, a float32 scalar; 0 if there are none.

        Args:
            logits: float32 ``[N, C, H, W]``.
            target: int64 ``[N, H, W]``, class ids or `ignore_index`.
        """

    @abstractmethod
    def count(self, target: Tensor) -> Tensor:
        """Return the number of terms, or the sum of their weights if they are weighted: a scalar.

        Args:
            target: int64 ``[N, H, W]``.
        """

    def valid(self, target: Tensor) -> Tensor:
        """Return whether each pixel is labelled, bool ``[N, H, W]``."""
        return target != self.ignore_index


class PixelLoss(LossPart):
    """Base of the parts that are means over labelled pixels, each weighted by its class.

    Args:
        ignore_index: id of the pixels to leave out.
        class_weights: a weight for each class; None weights all equally. As with
            `torch.nn.CrossEntropyLoss`, the sum is divided by the sum of the weights.
    """

    weights: Tensor | None

    def __init__(self, ignore_index: int, class_weights: Sequence[float] | None = None) -> None:
        super().__init__(ignore_index)
        given = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        # A setting of the run, not a weight of the network.
        self.register_buffer("weights", given, persistent=False)

    @abstractmethod
    def cost(self, cross_entropy: Tensor) -> Tensor:
        """Return the cost of each pixel, float32 ``[N, H, W]``.

        Args:
            cross_entropy: -ln p of each pixel's true class, float32 ``[N, H, W]``.
        """

    def sum(self, logits: Tensor, target: Tensor) -> Tensor:
        costs = self.cost(
            F.cross_entropy(logits, target, ignore_index=self.ignore_index, reduction="none")
        )
        if self.weights is not None:
            costs = costs * self._weight_of(target)
        return costs.where(self.valid(target), 0).sum()

    def count(self, target: Tensor) -> Tensor:
        valid = self.valid(target)
        if self.weights is None:
            return valid.sum(dtype=torch.float64)
        return self._weight_of(target).where(valid, 0).sum(dtype=torch.float64)

    def _weight_of(self, target: Tensor) -> Tensor:
        assert self.weights is not None
        # Ignored pixels get the weight of any class, and are masked later.
        return self.weights[target.clamp(max=len(self.weights) - 1)]


class CrossEntropy(PixelLoss):
    """-ln p, with p the softmax probability of a pixel's true class."""

    def cost(self, cross_entropy: Tensor) -> Tensor:
        return cross_entropy


class Focal(PixelLoss):
    """-(1 - p)^gamma ln p (Lin et al. 2017, arXiv:1708.02002, eq. 5, with softmax).

    Args:
        ignore_index, class_weights: as for `PixelLoss`; the weights are the paper's alpha.
        gamma: reduces the cost of well-classified pixels, at least 1; the paper uses 2.
    """

    def __init__(
        self,
        ignore_index: int,
        class_weights: Sequence[float] | None = None,
        *,
        gamma: float = 2.0,
    ) -> None:
        super().__init__(ignore_index, class_weights)
        self.gamma = gamma

    def cost(self, cross_entropy: Tensor) -> Tensor:
        # 1 - p without loss of precision near p = 1.
        return (-torch.expm1(-cross_entropy)) ** self.gamma * cross_entropy


class ExponentialCrossEntropy(PixelLoss):
    """(-ln p)^gamma (Wong et al. 2018, arXiv:1809.00076, eq. 3).

    With gamma below 1, small errors count more than in the cross-entropy and large ones less. The
    paper weights classes by the inverse root of their frequency (`inverse_root`).

    Args:
        ignore_index, class_weights: as for `PixelLoss`.
        gamma: the exponent; the paper uses 0.3.
    """

    def __init__(
        self,
        ignore_index: int,
        class_weights: Sequence[float] | None = None,
        *,
        gamma: float = 0.3,
    ) -> None:
        super().__init__(ignore_index, class_weights)
        self.gamma = gamma

    def cost(self, cross_entropy: Tensor) -> Tensor:
        return cross_entropy.clamp(min=_SMALLEST_ERROR) ** self.gamma


class BinaryCrossEntropy(LossPart):
    """Sigmoid cross-entropy of each class against the rest; the mean over pixels and classes."""

    def sum(self, logits: Tensor, target: Tensor) -> Tensor:
        target_one_hot = one_hot(target, logits.shape[1])
        costs = F.binary_cross_entropy_with_logits(logits, target_one_hot, reduction="none").mean(
            dim=1
        )
        return costs.where(self.valid(target), 0).sum()

    def count(self, target: Tensor) -> Tensor:
        return self.valid(target).sum(dtype=torch.float64)


class OverlapLoss(LossPart):
    """Base of the parts that are means over images of the mean cost of the classes in an image.

    A class that is absent from an image has no overlap there, and no cost. The terms are the images
    with a labelled pixel.
    """

    def count(self, target: Tensor) -> Tensor:
        return self.valid(target).flatten(1).any(dim=1).sum(dtype=torch.float64)


class Dice(OverlapLoss):
    """1 - 2 |P and G| / (|P| + |G|) of softmax probabilities (Milletari et al. 2016, eq. 2).

    Unlike in the paper, the sizes are sums, not sums of squares. Source: arXiv:1606.04797.
    """

    def sum(self, logits: Tensor, target: Tensor) -> Tensor:
        valid = self.valid(target)[:, None]
        probabilities = logits.softmax(dim=1).where(valid, 0).flatten(2)
        target_one_hot = one_hot(target, logits.shape[1]).where(valid, 0).flatten(2)
        size = target_one_hot.sum(dim=2)
        present = size > 0
        overlap = 2 * (probabilities * target_one_hot).sum(dim=2)
        # The divisor may be zero where a class is absent.
        costs = 1 - overlap / (probabilities.sum(dim=2) + size).where(present, 1)
        means = costs.where(present, 0).sum(dim=1) / present.sum(dim=1).clamp(min=1)
        return means.sum()


class Lovasz(OverlapLoss):
    """Lovász extension of 1 - IoU of softmax probabilities.

    Source: Berman et al. 2018, arXiv:1705.08790, eq. 12.
    """

    def sum(self, logits: Tensor, target: Tensor) -> Tensor:
        total = logits.sum() * 0
        for probabilities, ids, valid in zip(
            logits.softmax(dim=1), target, self.valid(target), strict=True
        ):
            probabilities, ids = probabilities[:, valid], ids[valid]
            classes = ids.unique()
            if len(classes):
                inside = ids[None] == classes[:, None]
                total = total + _lovasz(probabilities[classes], inside).mean()
        return total


def _lovasz(probabilities: Tensor, inside: Tensor) -> Tensor:
    """Return the Lovász extension for each of K classes, float32 ``[K]``.

    Args:
        probabilities: float32 ``[K, P]``.
        inside: whether each pixel is of the class, bool ``[K, P]``, at least one in each row.
    """
    errors, order = (
        (inside.to(probabilities.dtype) - probabilities).abs().sort(dim=1, descending=True)
    )
    hits = inside.gather(1, order).to(probabilities.dtype)
    size = hits.sum(dim=1, keepdim=True)
    # 1 - IoU if the first, the first two, ... pixels were wrong: its steps weight the errors.
    jaccard = 1 - (size - hits.cumsum(dim=1)) / (size + (1 - hits).cumsum(dim=1))
    steps = jaccard.diff(dim=1, prepend=torch.zeros_like(size))
    return (errors * steps).sum(dim=1)


def one_hot(target: Tensor, classes: int) -> Tensor:
    """Return ids ``[N, H, W]`` one-hot, float32 ``[N, C, H, W]``; ids beyond C are all zeros.

    Args:
        target: int64 ``[N, H, W]``.
        classes: number of classes C.
    """
    ids = torch.arange(classes, device=target.device)[None, :, None, None]
    return (target[:, None] == ids).float()


class SegmentationLoss(nn.Module):
    """A weighted sum of parts.

    Args:
        parts: (weight, part) each.
    """

    def __init__(self, parts: Sequence[tuple[float, LossPart]]) -> None:
        super().__init__()
        self.weights = tuple(weight for weight, _ in parts)
        self.parts = nn.ModuleList(part for _, part in parts)

    def _each(self) -> Iterator[LossPart]:
        for part in self.parts:
            assert isinstance(part, LossPart)
            yield part

    def count(self, target: Tensor) -> Tensor:
        """Return the number of terms of each part, float64 ``[parts]``.

        Args:
            target: uint8 or int64 ``[N, H, W]``.
        """
        return torch.stack([part.count(target.long()) for part in self._each()])

    def forward(self, logits: Tensor, target: Tensor, counts: Tensor) -> Tensor:
        """Return the loss, a float32 scalar.

        Args:
            logits: any float ``[N, C, H, W]``.
            target: uint8 or int64 ``[N, H, W]``, class ids or the ignore id.
            counts: number of terms that each part's sum is divided by, ``[parts]``.
        """
        logits, target = logits.float(), target.long()
        loss = logits.new_zeros(())
        # Sums over a batch would overflow in half-precision autocast.
        with torch.autocast(logits.device.type, enabled=False):
            for weight, part, count in zip(self.weights, self._each(), counts, strict=True):
                # A batch without a term has loss 0, not 0 / 0.
                divisor = torch.where(count > 0, count, 1).to(logits.dtype)
                loss = loss + weight * part.sum(logits, target) / divisor
        return loss


def build_loss(
    name: str,
    *,
    ignore_index: int,
    class_weights: Sequence[float] | None = None,
    gamma: float | None = None,
) -> SegmentationLoss:
    """Build a loss by name.

    Args:
        name: a key of `LOSSES`.
        ignore_index: id of the pixels to leave out.
        class_weights: a weight for each class, for the parts derived from `PixelLoss`; None
            weights all equally.
        gamma: exponent of the focal and the exponential part; None uses the papers' values.
    """
    return SegmentationLoss(
        [(1.0, _part(kind, ignore_index, class_weights, gamma)) for kind in LOSSES[name]]
    )


def _part(
    kind: type[LossPart], ignore_index: int, weights: Sequence[float] | None, gamma: float | None
) -> LossPart:
    if issubclass(kind, Focal | ExponentialCrossEntropy) and gamma is not None:
        return kind(ignore_index, weights, gamma=gamma)
    if issubclass(kind, PixelLoss):
        return kind(ignore_index, weights)
    return kind(ignore_index)


LOSSES: dict[str, tuple[type[LossPart], ...]] = {
    "cross_entropy": (CrossEntropy,),
    "focal": (Focal,),
    "dice": (Dice,),
    "cross_entropy+dice": (CrossEntropy, Dice),
    "bce+focal+dice": (BinaryCrossEntropy, Focal, Dice),
    "exponential_cross_entropy": (ExponentialCrossEntropy,),
    "lovasz": (Lovasz,),
}
