"""The export of a few-shot model: its encoder, or a graph of whole episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlcvcli.data.episode_file import drawn_episodes
from dlcvcli.data.episodes import EpisodeList, Shape, require_enough
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.exporting.certify import (
    AGREEMENT,
    TOLERANCE,
    Case,
    SetScore,
    finite,
    made_images,
    relative_error,
    widest_gap,
)
from dlcvcli.exporting.subject import Subject
from dlcvcli.inference.onnx_run import OnnxRun
from dlcvcli.models.protonet import ProtoNet
from dlcvcli.models.registry import model_entry
from dlcvcli.prototypes import interval
from dlcvcli.reporter import Reporter
from dlcvcli.runtime.clock import StageClock
from dlcvcli.runtime.metadata import IMAGES, LOGITS
from dlcvcli.runtime.session import Session, open_session
from dlcvcli.tasks.fewshot.card import EMBEDDING, ENCODER, EPISODE, QUERY, SUPPORT, EncoderCard
from dlcvcli.tasks.fewshot.evaluate import open_test_split
from dlcvcli.tasks.fewshot.flags import EpisodeFlags, ExportFewshotFlags
from dlcvcli.tasks.fewshot.graph import trace_encoder, trace_episode
from dlcvcli.tasks.fewshot.predictor import OnnxEncoder
from dlcvcli.tasks.fewshot.scoring import evaluate_episodes
from dlcvcli.tasks.fewshot.torch import TorchEncoder, card_of, load_protonet
from dlcvcli.tasks.spec import SubjectRequest

# Both backends get the same episodes, so their number limits nothing but the time.
EPISODES = 600
_SEED = 0


class FewshotSubject(Subject):
    """A few-shot model that is exported.

    Args:
        request: the checkpoint, and whether complete episodes are exported, not the encoder.

    Raises:
        CheckpointError: its weights do not fit the network of its settings.
    """

    card: EncoderCard

    def __init__(self, request: SubjectRequest) -> None:
        self.flags: ExportFewshotFlags = request.flags
        self.episode = bool(self.flags.episode)
        self.protonet = load_protonet(request.checkpoint)
        card = card_of(request.checkpoint, self.protonet, request.sha256)
        self.card = replace(card, graph=EPISODE if self.episode else ENCODER)
        self.inputs = (SUPPORT, QUERY) if self.episode else (IMAGES,)
        self.outputs = (LOGITS,) if self.episode else (EMBEDDING,)

    def facts(self) -> list[tuple[str, str]]:
        card = self.card
        distance = card.distance["name"]
        if "scale" in card.distance:
            distance += f", scale {card.distance['scale']:.2f}"
        takes = "images in, embeddings out"
        if self.episode:
            takes = "support and queries in, logits out"
        height, width = card.image_size
        return [
            ("model", f"{card.model}, {card.dimension} values an image"),
            ("distance", distance),
            ("graph", f"{card.graph}: {takes}"),
            ("images", f"{height}x{width}"),
        ]

    def open_data(self, folder: Path, split: str, reporter: Reporter) -> FewShotSet:
        flags = EpisodeFlags(allow_outside=self.flags.allow_outside)
        data = open_test_split(self.card, folder, split, flags, reporter).data
        shape = Shape(*self.card.shape)
        require_enough(data.sizes, shape, f"split '{data.split}' of {data.root}")
        with reporter.counting("reading the images") as progress:
            data.read(self.card.cache_bytes, progress)
        return data

    def trace(self, opset: int) -> Any:
        if self.episode:
            return trace_episode(self.protonet, self.card, opset)
        return trace_encoder(self.protonet.embedder, self.card, opset)

    def compare(self, content: bytes, traced: bytes) -> tuple[Case, ...]:
        if self.episode:
            return compare_episodes(self.protonet, self.card, content)
        return compare_embeddings(self.protonet, self.card, content)

    def amount(self, data: Any) -> str:
        return f"{EPISODES} episodes"

    def score(self, content: bytes, data: Any) -> SetScore:
        """See `Subject.score`; the episodes are of the card's shape."""
        assert isinstance(data, FewShotSet)
        shape = Shape(*self.card.shape)
        drawn = drawn_episodes(data, shape, _SEED, EPISODES)
        # Each image is embedded once. A graph of episodes cannot do that: it is run on every one.
        embedder = TorchEncoder(self.protonet.embedder, self.card, torch.device("cpu"))
        before = evaluate_episodes(embedder, data, drawn).score.interval
        session = open_session(content, "cpu")
        if self.episode:
            after = interval(_accuracies(session, data, drawn))
        else:
            encoder = OnnxEncoder(session, self.card)
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


# Gap between the two best logits of a query that differs, as a share of the largest logit: what two
# logits that are each within the tolerance can close. Not of their range, which is next to nothing
# where a network hardly tells its images apart.
NEAR_TIE = 2 * TOLERANCE

_BATCHES = (1, 2, 7)
_MOST_QUERIES = 25


@dataclass(frozen=True)
class EmbeddingCase(Case):
    """One comparison of the embeddings of PyTorch and ONNX Runtime.

    Attributes:
        images: [N, H, W] of the input.
        embedding_error: largest absolute difference / largest absolute value of PyTorch; infinite
            where a value is not finite.
    """

    images: tuple[int, int, int]
    embedding_error: float

    @property
    def passed(self) -> bool:
        return self.embedding_error <= TOLERANCE

    def describe(self) -> str:
        return (
            f"images {list(self.images)}: embeddings differ by {self.embedding_error:.2g} of the "
            f"largest value (at most {TOLERANCE:g})"
        )

    @staticmethod
    def tolerances() -> dict[str, float]:
        return {"embedding_error": TOLERANCE}

    @staticmethod
    def summary(cases: Sequence[EmbeddingCase]) -> dict[str, Any]:
        return {"max_embedding_error": finite(max(case.embedding_error for case in cases))}


@dataclass(frozen=True)
class EpisodeCase(Case):
    """One comparison of the logits of an episode.

    Attributes:
        support: [ways, shots, H, W] of the input.
        queries: how many.
        logits_error: largest absolute difference / largest absolute logit of PyTorch; infinite
            where a logit is not finite.
        agreement: share of queries with the same class.
        differing: number of queries that differ.
        widest_gap: among those, the largest gap between PyTorch's two best logits, as a share of
            its largest absolute logit; 0 where none differ.
    """

    support: tuple[int, int, int, int]
    queries: int
    logits_error: float
    agreement: float
    differing: int
    widest_gap: float

    @property
    def passed(self) -> bool:
        # An episode has few queries: one near tie among them is more than the share allows.
        same = self.agreement >= AGREEMENT or self.widest_gap <= NEAR_TIE
        return self.logits_error <= TOLERANCE and same

    def describe(self) -> str:
        return (
            f"support {list(self.support)}, {self.queries} queries: logits differ by "
            f"{self.logits_error:.2g} of the largest (at most {TOLERANCE:g}), "
            f"{self.agreement:.6f} of the queries agree (at least {AGREEMENT}, or the widest gap "
            f"of one that differs, {self.widest_gap:.2g}, at most {NEAR_TIE:g})"
        )

    @staticmethod
    def tolerances() -> dict[str, float]:
        return {"logits_error": TOLERANCE, "argmax_agreement": AGREEMENT, "near_tie": NEAR_TIE}

    @staticmethod
    def summary(cases: Sequence[EpisodeCase]) -> dict[str, Any]:
        return {
            "max_logits_error": finite(max(case.logits_error for case in cases)),
            "min_agreement": min(case.agreement for case in cases),
            "differing_queries": sum(case.differing for case in cases),
        }


def parity_sizes(card: EncoderCard, *, any_size: bool) -> list[tuple[int, int]]:
    """Return the (height, width) pairs to compare at: its own, and an odd one where any will do."""
    assert card.size is not None
    least = model_entry(card.model).least_side
    return [card.size, (least + 17, least + 40)] if any_size else [card.size]


def compare_embeddings(
    protonet: ProtoNet, card: EncoderCard, content: bytes
) -> tuple[EmbeddingCase, ...]:
    """Embed the same made images with PyTorch and ONNX Runtime, both on the CPU in float32.

    Args:
        protonet: trained, on the CPU, in evaluation mode.
        card: of it.
        content: the exported encoder.
    """
    session = open_session(content, "cpu", fixed_shapes=False).session
    sizes = parity_sizes(card, any_size=protonet.embedder.encoder.any_size)
    cases = []
    for seed, (size, count) in enumerate((size, count) for size in sizes for count in _BATCHES):
        images = made_images(np.random.default_rng(seed), (count, *size))
        (found,) = session.run([EMBEDDING], {IMAGES: images})
        with torch.inference_mode():
            reference = protonet.embedder(torch.from_numpy(images)).numpy()
        cases.append(EmbeddingCase((count, *size), relative_error(reference, found)))
    return tuple(cases)


def parity_episodes(card: EncoderCard) -> list[tuple[int, int, int]]:
    """Return the (ways, shots, queries) to compare at: what the model is for, and two others."""
    ways, shots, each = card.shape
    return [(ways, shots, min(ways * each, _MOST_QUERIES)), (2, 1, 1), (7, 2, 3)]


def compare_episodes(
    protonet: ProtoNet, card: EncoderCard, content: bytes
) -> tuple[EpisodeCase, ...]:
    """Classify the same made episodes with PyTorch and ONNX Runtime, both on the CPU in float32.

    Args:
        protonet: trained, on the CPU, in evaluation mode.
        card: of it.
        content: the exported graph of an episode.
    """
    session = open_session(content, "cpu", fixed_shapes=False).session
    sizes = parity_sizes(card, any_size=protonet.embedder.encoder.any_size)
    wanted = [(size, shape) for size in sizes for shape in parity_episodes(card)]
    cases = []
    for seed, (size, (ways, shots, queries)) in enumerate(wanted):
        images = made_images(np.random.default_rng(seed), (ways * shots + queries, *size))
        support = images[: ways * shots].reshape(ways, shots, *size, 3)
        query = images[ways * shots :]
        (found,) = session.run([LOGITS], {SUPPORT: support, QUERY: query})
        with torch.inference_mode():
            inputs = torch.from_numpy(support)[None], torch.from_numpy(query)[None]
            reference = protonet(*inputs)[0].numpy()
        cases.append(compare_episode((ways, shots, *size), reference, found))
    return tuple(cases)


def compare_episode(
    support: tuple[int, int, int, int],
    reference: NDArray[np.float32],
    found: NDArray[np.float32],
) -> EpisodeCase:
    """Compare logits [M, N] of two backends, of an episode whose support is [N, K, H, W]."""
    differs = reference.argmax(axis=1) != found.argmax(axis=1)
    return EpisodeCase(
        support,
        len(reference),
        relative_error(reference, found),
        float(1 - differs.mean()),
        int(differs.sum()),
        widest_gap(reference, differs, float(np.abs(reference).max())),
    )
