"""What a few-shot model's certificate compares: embeddings, or the logits of whole episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlcvcli.exporting.certify import (
    AGREEMENT,
    TOLERANCE,
    Case,
    finite,
    made_images,
    relative_error,
    widest_gap,
)
from dlcvcli.models.protonet import ProtoNet
from dlcvcli.models.registry import model_entry
from dlcvcli.runtime.metadata import EMBEDDING, IMAGES, LOGITS, QUERY, SUPPORT, EmbedderCard
from dlcvcli.runtime.session import open_session

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
        """See `Case.passed`."""
        return self.embedding_error <= TOLERANCE

    def describe(self) -> str:
        """See `Case.describe`."""
        return (
            f"images {list(self.images)}: embeddings differ by {self.embedding_error:.2g} of the "
            f"largest value (at most {TOLERANCE:g})"
        )

    @staticmethod
    def tolerances() -> dict[str, float]:
        """See `Case.tolerances`."""
        return {"embedding_error": TOLERANCE}

    @staticmethod
    def summary(cases: Sequence[EmbeddingCase]) -> dict[str, Any]:
        """See `Case.summary`."""
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
        """See `Case.passed`."""
        # An episode has few queries: one near tie among them is more than the share allows.
        same = self.agreement >= AGREEMENT or self.widest_gap <= NEAR_TIE
        return self.logits_error <= TOLERANCE and same

    def describe(self) -> str:
        """See `Case.describe`."""
        return (
            f"support {list(self.support)}, {self.queries} queries: logits differ by "
            f"{self.logits_error:.2g} of the largest (at most {TOLERANCE:g}), "
            f"{self.agreement:.6f} of the queries agree (at least {AGREEMENT}, or the widest gap "
            f"of one that differs, {self.widest_gap:.2g}, at most {NEAR_TIE:g})"
        )

    @staticmethod
    def tolerances() -> dict[str, float]:
        """See `Case.tolerances`."""
        return {"logits_error": TOLERANCE, "argmax_agreement": AGREEMENT, "near_tie": NEAR_TIE}

    @staticmethod
    def summary(cases: Sequence[EpisodeCase]) -> dict[str, Any]:
        """See `Case.summary`."""
        return {
            "max_logits_error": finite(max(case.logits_error for case in cases)),
            "min_agreement": min(case.agreement for case in cases),
            "differing_queries": sum(case.differing for case in cases),
        }


def parity_sizes(card: EmbedderCard, *, any_size: bool) -> list[tuple[int, int]]:
    """Return the (height, width) pairs to compare at: its own, and an odd one where any will do."""
    assert card.size is not None
    least = model_entry(card.model).least_side
    return [card.size, (least + 17, least + 40)] if any_size else [card.size]


def compare_embeddings(
    protonet: ProtoNet, card: EmbedderCard, content: bytes
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


def parity_episodes(card: EmbedderCard) -> list[tuple[int, int, int]]:
    """Return the (ways, shots, queries) to compare at: what the model is for, and two others."""
    ways, shots, each = card.shape
    return [(ways, shots, min(ways * each, _MOST_QUERIES)), (2, 1, 1), (7, 2, 3)]


def compare_episodes(
    protonet: ProtoNet, card: EmbedderCard, content: bytes
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
