"""Export of a few-shot model: its encoder, or a graph of complete episodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dlcvcli.data.episode_file import drawn_episodes
from dlcvcli.data.episodes import EpisodeList, Shape, require_enough
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.exporting.certify import (
    LogitsCase,
    SetScore,
    ValuesCase,
    compare_logits,
    relative_error,
    synthetic_images,
)
from dlcvcli.exporting.subject import Graph, Subject
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
from dlcvcli.tasks.fewshot.scores import SCORES
from dlcvcli.tasks.fewshot.scoring import evaluate_episodes
from dlcvcli.tasks.fewshot.torch import TorchEncoder, card_of, load_protonet
from dlcvcli.tasks.spec import SubjectRequest

# Both backends get the same episodes, so that few of them suffice.
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
        self.graphs = (
            Graph((SUPPORT, QUERY), (LOGITS,), self._trace_episode, self._compare_episodes)
            if self.episode
            else Graph((IMAGES,), (EMBEDDING,), self._trace_encoder, self._compare_embeddings),
        )

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

    def amount(self, data: Any) -> str:
        return f"{EPISODES} episodes"

    def score(self, files: Sequence[Path], data: Any) -> SetScore:
        assert isinstance(data, FewShotSet)
        (file,) = files
        shape = Shape(*self.card.shape)
        drawn = drawn_episodes(data, shape, _SEED, EPISODES)
        # Encoders embed each image once. A graph of episodes embeds the images of each episode.
        reference = TorchEncoder(self.protonet.encoder, self.card, torch.device("cpu"))
        before = evaluate_episodes(reference, data, drawn).score.interval
        session = open_session(file, "cpu")
        if self.episode:
            after = interval(_accuracies(session, data, drawn))
        else:
            encoder = OnnxEncoder(session, self.card)
            after = evaluate_episodes(encoder, data, drawn).score.interval
        details = {
            "episodes": len(drawn),
            "split": data.split,
            "n_way": shape.n_way,
            "k_shot": shape.k_shot,
            "n_query": shape.n_query,
            "episodes_sha256": drawn.sha256,
            "torch_ci95": before.ci95,
            "onnx_ci95": after.ci95,
        }
        return SetScore(SCORES[0], self.amount(data), before.mean, after.mean, details)

    def _trace_encoder(self, opset: int) -> Any:
        return trace_encoder(self.protonet.encoder, self.card, opset)

    def _compare_embeddings(self, file: Path, traced: Path) -> list[ValuesCase]:
        return compare_embeddings(self.protonet, self.card, file)

    def _trace_episode(self, opset: int) -> Any:
        return trace_episode(self.protonet, self.card, opset)

    def _compare_episodes(self, file: Path, traced: Path) -> list[LogitsCase]:
        return compare_episodes(self.protonet, self.card, file)


def _accuracies(session: Session, data: FewShotSet, drawn: EpisodeList) -> NDArray[np.float64]:
    """Return the accuracy of each episode, float64 [E], under a graph of episodes."""
    run = OnnxRun(session)
    accuracies = np.empty(len(drawn))
    for place in range(len(drawn)):
        support, query = data.images(drawn.support[place]), data.images(drawn.query[place])
        logits = run(LOGITS, {SUPPORT: support, QUERY: query}, StageClock())
        accuracies[place] = (logits.argmax(axis=1) == drawn.answers[place]).mean()
    return accuracies


_BATCHES = (1, 2, 7)
_MOST_QUERIES = 25


def parity_sizes(card: EncoderCard, *, any_size: bool) -> list[tuple[int, int]]:
    """Return the (height, width) pairs to compare at: that of the card, and an odd one.

    Args:
        card: of the model.
        any_size: whether the encoder takes images of any size; else only that of the card.
    """
    assert card.size is not None
    least = model_entry(card.model).least_side
    return [card.size, (least + 17, least + 40)] if any_size else [card.size]


def compare_embeddings(protonet: ProtoNet, card: EncoderCard, file: Path) -> list[ValuesCase]:
    """Compare embeddings of synthetic images under both backends, on the CPU in float32.

    Args:
        protonet: trained, on the CPU, in evaluation mode.
        card: its card.
        file: the exported encoder.
    """
    session = open_session(file, "cpu", fixed_shapes=False).session
    sizes = parity_sizes(card, any_size=protonet.encoder.encoder.any_size)
    cases = []
    for seed, (size, count) in enumerate((size, count) for size in sizes for count in _BATCHES):
        images = synthetic_images(np.random.default_rng(seed), (count, *size))
        (embeddings,) = session.run([EMBEDDING], {IMAGES: images})
        with torch.inference_mode():
            reference = protonet.encoder(torch.from_numpy(images)).numpy()
        error = relative_error(reference, embeddings)
        cases.append(ValuesCase({"images": [count, *size]}, EMBEDDING, error))
    return cases


def parity_episodes(card: EncoderCard) -> list[tuple[int, int, int]]:
    """Return the (ways, shots, queries) to compare at: those of the card, and two others."""
    ways, shots, each = card.shape
    return [(ways, shots, min(ways * each, _MOST_QUERIES)), (2, 1, 1), (7, 2, 3)]


def compare_episodes(protonet: ProtoNet, card: EncoderCard, file: Path) -> list[LogitsCase]:
    """Compare logits of synthetic episodes under both backends, on the CPU in float32.

    Args:
        protonet: trained, on the CPU, in evaluation mode.
        card: its card.
        file: the exported graph of an episode.
    """
    session = open_session(file, "cpu", fixed_shapes=False).session
    sizes = parity_sizes(card, any_size=protonet.encoder.encoder.any_size)
    shapes = [(size, shape) for size in sizes for shape in parity_episodes(card)]
    cases = []
    for seed, (size, (ways, shots, queries)) in enumerate(shapes):
        images = synthetic_images(np.random.default_rng(seed), (ways * shots + queries, *size))
        support = images[: ways * shots].reshape(ways, shots, *size, 3)
        query = images[ways * shots :]
        (logits,) = session.run([LOGITS], {SUPPORT: support, QUERY: query})
        with torch.inference_mode():
            tensors = torch.from_numpy(support)[None], torch.from_numpy(query)[None]
            reference = protonet(*tensors)[0].numpy()
        inputs = {"support": [ways, shots, *size], "queries": queries}
        cases.append(compare_logits(inputs, reference, logits, noun="queries", few=True))
    return cases
