"""The training task of classification: cross-entropy, with mixup and CutMix."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlcvcli.engine.averaged import AveragedTask
from dlcvcli.engine.task import Batch, Outcome, ParameterGroup, split_by_decay
from dlcvcli.models.classifier import Classifier
from dlcvcli.models.freezing import layer_scales


class Mixed(NamedTuple):
    """Images that were mixed with other images of their batch.

    Attributes:
        images: float [N, 3, H, W].
        others: the place of the other image of each, int64 [N].
        share: the fraction of each image that is its own.
    """

    images: Tensor
    others: Tensor
    share: float


class ClassificationTask(AveragedTask[Classifier]):
    """Trains a classifier on `images` uint8 [N, H, W, 3] and `labels` int64 [N].

    Args:
        network: the classifier.
        backbone_lr_scale: learning rate of the backbone / that of the head.
        layer_decay: instead of it, the factor on the learning rate from block to block.
        label_smoothing: part of each target that is spread over all classes (Szegedy et al. 2016,
            arXiv:1512.00567, section 7).
        class_weights: a weight for each class; None weights all alike.
        mixup, cutmix: alpha of each; 0 turns it off.
        ema: decay of a moving average of the weights; None for none.
    """

    weights: Tensor | None

    def __init__(
        self,
        network: Classifier,
        *,
        backbone_lr_scale: float = 1.0,
        layer_decay: float | None = None,
        label_smoothing: float = 0.0,
        class_weights: tuple[float, ...] | None = None,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        ema: float | None = None,
    ) -> None:
        super().__init__(network, ema)
        self.backbone_lr_scale = backbone_lr_scale
        self.layer_decay = layer_decay
        self.label_smoothing = label_smoothing
        self.mixup = mixup
        self.cutmix = cutmix
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
        """Return the loss, a sum over the images divided by `normaliser`, and their accuracy."""
        labels = batch["labels"]
        images = self.network.encoder.normalise(batch["images"])
        mixed = self._mix(images) if self.training else None
        targets = [(labels, 1.0)]
        if mixed is not None:
            images = mixed.images
            targets = [(labels, mixed.share), (labels[mixed.others], 1 - mixed.share)]
        logits = self.network.forward_normalised(images)
        predicted = logits.detach().argmax(dim=1)
        loss = torch.zeros((), device=logits.device)
        accuracy = torch.zeros((), device=logits.device)
        for own, share in targets:
            entropy = F.cross_entropy(
                logits,
                own,
                weight=self.weights,
                reduction="sum",
                label_smoothing=self.label_smoothing,
            )
            loss = loss + share * entropy
            accuracy += share * (predicted == own).float().mean()
        return {"loss": loss / normaliser, "log": {"accuracy": accuracy}}

    def _mix(self, images: Tensor) -> Mixed | None:
        """Return a batch mixed by one of the methods that are on; None if none is."""
        methods = [
            (mix, alpha) for mix, alpha in ((mixup, self.mixup), (cutmix, self.cutmix)) if alpha
        ]
        if not methods:
            return None
        mix, alpha = methods[int(torch.randint(len(methods), ()))]
        share = float(torch.distributions.Beta(alpha, alpha).sample())
        return mix(images, share)

    def count_terms(self, batch: Batch) -> Tensor:
        """Return the number of images, or the sum of their classes' weights."""
        labels = batch["labels"]
        if self.weights is None:
            return torch.tensor(len(labels), device=labels.device)
        return self.weights[labels].sum()

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return the backbone and then the head, each with and without weight decay.

        With `layer_decay`, each block of the backbone has groups of its own.
        """
        encoder, head = self.network.encoder, self.network.head
        if self.layer_decay is None:
            groups = split_by_decay("backbone", encoder, self.backbone_lr_scale)
        else:
            groups = [
                group
                for name, block, scale in layer_scales(encoder.encoder, self.layer_decay)
                for group in split_by_decay(name, nn.ParameterList(block), scale)
            ]
        # The learning rate of the last group is the one that is logged.
        return [*groups, *split_by_decay("head", head, 1.0)]


def mixup(images: Tensor, share: float) -> Mixed:
    """Return each image blended with another (Zhang et al. 2018, arXiv:1710.09412, equation 1)."""
    others = torch.randperm(len(images), device=images.device)
    return Mixed(images.lerp(images[others], 1 - share), others, share)


def cutmix(images: Tensor, share: float) -> Mixed:
    """Return each image with a box of another in it (Yun et al. 2019, arXiv:1905.04899, eq. 2).

    The box has the sides of the image times sqrt(1 - share), its centre is anywhere in the image,
    and the returned share is that of the pixels that are left, since the box may reach beyond.
    """
    others = torch.randperm(len(images), device=images.device)
    height, width = images.shape[-2:]
    spans = []
    for side in (height, width):
        cut, centre = round(side * math.sqrt(1 - share)), int(torch.randint(side, ()))
        spans.append(slice(max(0, centre - cut // 2), min(side, centre - cut // 2 + cut)))
    rows, columns = spans
    mixed = images.clone()
    mixed[..., rows, columns] = images[others][..., rows, columns]
    replaced = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mixed(mixed, others, 1 - replaced / (height * width))
