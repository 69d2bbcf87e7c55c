"""Prototypical networks: the loss of episodes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from dlcvcli.engine.averaged import AveragedTask
from dlcvcli.engine.task import Batch, Outcome, ParameterGroup, split_by_decay
from dlcvcli.models.protonet import ProtoNet


class ProtoNetTask(AveragedTask[ProtoNet]):
    """Trains a prototypical network on episodes.

    A batch holds `support` uint8 [B, N, K, H, W, 3] and `query` uint8 [B, N Q, H, W, 3], the
    queries way by way. The loss is the cross-entropy of the queries' classes among the N of their
    episode (Snell et al. 2017, arXiv:1703.05175, algorithm 1).

    Args:
        network: encoder and distance.
        backbone_lr_scale: learning rate of the encoder / that of the distance.
        ema: decay of a moving average of the weights; None for none.
    """

    def __init__(
        self, network: ProtoNet, *, backbone_lr_scale: float = 1.0, ema: float | None = None
    ) -> None:
        super().__init__(network, ema)
        self.backbone_lr_scale = backbone_lr_scale

    def forward(self, batch: Batch, normaliser: Tensor) -> Outcome:
        """Return the loss, a sum over the queries divided by `normaliser`, and their accuracy."""
        logits = self.network(batch["support"], batch["query"])
        answers = _answers(logits)
        loss = F.cross_entropy(logits.flatten(0, 1), answers.flatten(), reduction="sum")
        right = (logits.detach().argmax(-1) == answers).float().mean()
        return {"loss": loss / normaliser, "log": {"accuracy": right}}

    def count_terms(self, batch: Batch) -> Tensor:
        """Return the number of queries."""
        query = batch["query"]
        return torch.tensor(query.shape[0] * query.shape[1], device=query.device)

    def parameter_groups(self) -> list[ParameterGroup]:
        """Return encoder and distance, each with and without weight decay."""
        return [
            *split_by_decay("encoder", self.network.encoder, self.backbone_lr_scale),
            *split_by_decay("distance", self.network.distance, 1.0),
        ]


def _answers(logits: Tensor) -> Tensor:
    """Return the true classes [B, M] of queries that are ordered by class."""
    episodes, queries, ways = logits.shape
    own = torch.arange(ways, device=logits.device).repeat_interleave(queries // ways)
    return own.expand(episodes, -1)
