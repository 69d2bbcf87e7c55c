"""The export of a few-shot model: its encoder, or a graph of whole episodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlcvcli.data.episode_file import drawn_episodes
from dlcvcli.data.episodes import EpisodeList, Shape
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.engine.checkpoint import Checkpoint
from dlcvcli.exporting.certify import Case, SetScore
from dlcvcli.exporting.certify_embedder import compare_embeddings, compare_episodes
from dlcvcli.exporting.embedder_graph import trace_encoder, trace_episode
from dlcvcli.exporting.subject import Subject, VerifyData
from dlcvcli.inference.evaluate_episodes import evaluate_episodes
from dlcvcli.inference.onnx_embedder import OnnxEmbedder
from dlcvcli.inference.onnx_run import OnnxRun
from dlcvcli.inference.predictor import StageClock
from dlcvcli.inference.restore_protonet import embedder_card_of, load_protonet
from dlcvcli.inference.torch_embedder import TorchEmbedder
from dlcvcli.prototypes import interval
from dlcvcli.runtime.metadata import (
    EMBEDDING,
    ENCODER,
    EPISODE,
    IMAGES,
    LOGITS,
    QUERY,
    SUPPORT,
    EmbedderCard,
)
from dlcvcli.runtime.session import Session, open_session

# Both backends get the same episodes, so their number limits nothing but the time.
EPISODES = 600
_SEED = 0


class EmbedderSubject(Subject):
    """A few-shot model that is exported; see `Subject`.

    Args:
        checkpoint: read.
        sha256: of its file.
        versions: of what exports it.
        episode: export the graph of whole episodes, not the encoder.

    Raises:
        CheckpointError: its weights do not fit the network of its settings.
    """

    card: EmbedderCard

    def __init__(
        self, checkpoint: Checkpoint, sha256: str, versions: dict[str, str], *, episode: bool
    ) -> None:
        self.protonet = load_protonet(checkpoint)
        card = embedder_card_of(checkpoint, self.protonet, sha256)
        self.card = replace(
            card,
            versions={**card.versions, **versions},
            graph=EPISODE if episode else ENCODER,
        )
        self.episode = episode
        self.inputs = (SUPPORT, QUERY) if episode else (IMAGES,)
        self.outputs = (LOGITS,) if episode else (EMBEDDING,)

    def trace(self, opset: int) -> Any:
        """See `Subject.trace`."""
        if self.episode:
            return trace_episode(self.protonet, self.card, opset)
        return trace_encoder(self.protonet.embedder, self.card, opset)

    def compare(self, content: bytes, traced: bytes) -> tuple[Case, ...]:
        """See `Subject.compare`."""
        if self.episode:
            return compare_episodes(self.protonet, self.card, content)
        return compare_embeddings(self.protonet, self.card, content)

    def amount(self, data: VerifyData) -> str:
        """See `Subject.amount`."""
        return f"{EPISODES} episodes"

    def score(self, content: bytes, data: VerifyData) -> SetScore:
        """See `Subject.score`; the episodes are of the card's shape."""
        assert isinstance(data, FewShotSet)
        shape = Shape(*self.card.shape)
        drawn = drawn_episodes(data, shape, _SEED, EPISODES)
        # Each image is embedded once. A graph of episodes cannot do that: it is run on every one.
        embedder = TorchEmbedder(self.protonet.embedder, self.card, torch.device("cpu"))
        before = evaluate_episodes(embedder, data, drawn).score.interval
        session = open_session(content, "cpu")
        if self.episode:
            after = interval(_accuracies(session, data, drawn))
        else:
            encoder = OnnxEmbedder(session, self.card)
            after = evaluate_episodes(encoder, data, drawn).score.interval
        facts = {
            "episodes": len(drawn),
            "split": data.split,
            "n_way": shape.n_way,
            "k_shot": shape.k_shot,
            "n_query": shape.n_query,
            "episodes_sha256": drawn.sha256,
            "torch_ci95": before.ci95,
            "onnx_ci95": after.ci95,
        }
        return SetScore("accuracy", self.amount(data), before.mean, after.mean, facts)


def _accuracies(session: Session, data: FewShotSet, drawn: EpisodeList) -> NDArray[np.float64]:
    """Return the accuracy of each episode, float64 [E], run through a graph of episodes."""
    run = OnnxRun(session)
    found = np.empty(len(drawn))
    for place in range(len(drawn)):
        support, query = data.images(drawn.support[place]), data.images(drawn.query[place])
        logits = run(LOGITS, {SUPPORT: support, QUERY: query}, StageClock())
        found[place] = (logits.argmax(axis=1) == drawn.answers[place]).mean()
    return found
