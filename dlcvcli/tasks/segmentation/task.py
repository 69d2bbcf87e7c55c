"""The training task of semantic segmentation: a loss over the labelled pixels of a global batch."""

from __future__ import annotations

from torch import Tensor, nn

from dlcvcli.engine.averaged import AveragedTask
from dlcvcli.engine.task import Batch, Outcome, ParameterGroup, split_by_decay
from dlcvcli.losses import SegmentationLoss, build_loss
from dlcvcli.models.segmenter import Segmenter
from dlcvcli.palette import ClassSet


class SegmentationTask(AveragedTask[Segmenter]):
    """Trains a segmenter on `images` uint8 [N, H, W, 3] and `masks` uint8 [N, H, W].

    Args:
        network: the segmentation network with its pre- and post-processing.
        classes: the class set of the masks.
        loss: the loss; cross-entropy unless given.
        backbone_lr_scale: learning rate of the backbone / that of the heads.
        auxiliary: weight of the loss of the network's auxiliary head, where it has one.
        ema: decay of a moving average of the weights; None for none.
    """

    def __init__(
        self,
        network: Segmenter,
        classes: ClassSet,
        loss: SegmentationLoss | None = None,
        *,
        backbone_lr_scale: float = 1.0,
        auxiliary: float = 0.4,
        ema: float | None = None,
    ) -> None:
        super().__init__(network, ema)
        self.classes = classes
        self.loss = loss or build_loss("cross_entropy", ignore_index=classes.ignore_index)
        self.backbone_lr_scale = backbone_lr_scale
        self.auxiliary = auxiliary

    def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
        """Return the loss, each of its parts a mean over its number of terms in `normaliser`."""
        outputs = self.network.network_outputs(batch["images"])
        loss = self.loss(outputs["out"], batch["masks"], normaliser)
        if "aux" not in outputs:
            return {"loss": loss, "log": {}}
        auxiliary = self.loss(outputs["aux"], batch["masks"], normaliser)
        return {
            "loss": loss + self.auxiliary * auxiliary,
            "log": {"auxiliary_loss": auxiliary.detach()},
        }

    def count_terms(self, batch: Batch) -> Tensor:
        """Return the number of terms of each part of the loss, float64 ``[parts]``."""
        counts: Tensor = self.loss.count(batch["masks"])
        return counts

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return backbone and head, each with and without weight decay."""
        network = self.network.network
        backbone = network.backbone
        if not isinstance(backbone, nn.Module):
            raise TypeError(f"{type(network).__name__} has no backbone")
        inside = {id(parameter) for parameter in backbone.parameters()}
        head = nn.ParameterList(p for p in network.parameters() if id(p) not in inside)
        return [
            *split_by_decay("backbone", backbone, self.backbone_lr_scale),
            *split_by_decay("head", head, 1.0),
        ]
