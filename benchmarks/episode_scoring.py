"""Measure how many episodes per second an evaluation from embeddings scores.

    python benchmarks/episode_scoring.py [--set mini|omniglot] [--episodes 10000]

measures episodes/s from embeddings in memory to one accuracy, by default 5-way 1-shot with 15
queries per class. Drawing, gathering, prototypes, distances and the mean are included.
- dlcv: what `dlcv eval` does after the encoder: `drawn_episodes`, `compact`, `score_episodes`
- easyfsl: its `evaluate` on a `FeaturesDataset` through its `TaskSampler` and a `DataLoader`, as
  people use it, without the progress bar
- easyfsl, 1 thread: the same on one thread; its tensors are so small that several threads may be
  slower
- easyfsl, 2 workers: the same as the first with two loader processes

The peer scores fewer episodes (`--peer-episodes`); episodes/s are compared. Before the first round
both score the same episodes, and the script fails if their accuracies differ by more than rounding.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from common import installed, main

from dlcvcli.data.episode_file import drawn_episodes
from dlcvcli.data.episodes import Shape, draw_episodes
from dlcvcli.data.few_shot import FewShotSet
from dlcvcli.data.image_classes import ImageClass
from dlcvcli.prototypes import Euclidean, Floats, interval
from dlcvcli.tasks.fewshot.episodes import compact, score_episodes

# Number of classes, images per class and length of an embedding: the test splits under Conv4.
SETS = {"mini": (20, 600, 1600), "omniglot": (200, 20, 64)}
SEED, WARM_UP_SEED = 0, 1
WARM_UP, SAME = 20, 200


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", choices=tuple(SETS), default="mini")
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--peer-episodes", type=int, default=600)
    parser.add_argument("--n-way", type=int, default=5)
    parser.add_argument("--k-shot", type=int, default=1)
    parser.add_argument("--n-query", type=int, default=15)


def _shape(options: argparse.Namespace) -> Shape:
    return Shape(options.n_way, options.k_shot, options.n_query)


def _features(options: argparse.Namespace) -> Floats:
    """Return float32 [images, D], class by class: overlapping clusters."""
    classes, images, values = SETS[options.set]
    rng = np.random.default_rng(0)
    # A spread at which some queries are misclassified, at any embedding length.
    centres = rng.standard_normal((classes, 1, values), np.float32) * 1.5 * values**-0.25
    own = rng.standard_normal((classes, images, values), np.float32)
    return (centres + own).reshape(-1, values)


def _set(options: argparse.Namespace) -> FewShotSet:
    """Return the images that the features belong to; they are named, and never read."""
    classes, images, _ = SETS[options.set]
    root = Path("images")
    names = [f"class{index:03}" for index in range(classes)]
    files = [tuple(root / name / f"{i:04}.jpg" for i in range(images)) for name in names]
    split = tuple(ImageClass(name, own, name) for name, own in zip(names, files, strict=True))
    return FewShotSet(split, "test", root, (84, 84))


def ours(options: argparse.Namespace) -> float:
    """Return the episodes/s of dlcv."""
    features, data, shape = _features(options), _set(options), _shape(options)

    def score(seed: int, count: int) -> str:
        drawn = drawn_episodes(data, shape, seed, count)
        used, support, query = compact(drawn)
        # `dlcv eval` keeps only the embeddings that episodes use, and stacks them from its batches.
        scores = score_episodes(features[used], support, query, drawn.answers, Euclidean())
        return str(scores.interval)

    score(WARM_UP_SEED, WARM_UP)
    started = time.perf_counter()
    accuracy = score(SEED, options.episodes)
    seconds = time.perf_counter() - started
    print(f"dlcv: accuracy {accuracy} over {options.episodes} episodes", file=sys.stderr)
    return options.episodes / seconds


def _peer_data(features: Floats, options: argparse.Namespace) -> Any:
    import torch
    from easyfsl.datasets import FeaturesDataset

    classes, images, _ = SETS[options.set]
    labels = [label for label in range(classes) for _ in range(images)]
    names = [str(label) for label in range(classes)]
    return FeaturesDataset(labels, torch.from_numpy(features), names)


def peer(options: argparse.Namespace, *, threads: int | None = None, workers: int = 0) -> float:
    """Return the episodes/s of easyfsl, by default with PyTorch's number of threads."""
    import torch
    from easyfsl.methods import PrototypicalNetworks
    from easyfsl.utils import evaluate
    from easyfsl_peer import task_loader
    from torch import nn

    if threads is not None:
        torch.set_num_threads(threads)
    data, shape = _peer_data(_features(options), options), _shape(options)
    model = PrototypicalNetworks(nn.Identity())
    random.seed(SEED)

    def score(count: int) -> float:
        loader = task_loader(data, shape, count, workers=workers)
        return float(evaluate(model, loader, device="cpu", use_tqdm=False))

    score(WARM_UP)
    started = time.perf_counter()
    accuracy = score(options.peer_episodes)
    seconds = time.perf_counter() - started
    print(
        f"easyfsl: accuracy {accuracy:.4f} over {options.peer_episodes} episodes", file=sys.stderr
    )
    return options.peer_episodes / seconds


def _prepare(options: argparse.Namespace) -> None:
    """Fail unless both give the same accuracy on the same episodes."""
    if not installed("easyfsl", {"the comparison of accuracies": peer}):
        return
    from easyfsl.methods import PrototypicalNetworks
    from easyfsl.utils import evaluate
    from easyfsl_peer import Tasks
    from torch import nn
    from torch.utils.data import DataLoader

    features, shape = _features(options), _shape(options)
    support, query = draw_episodes(_set(options).sizes, shape, SEED, SAME)
    answers = np.tile(np.repeat(np.arange(shape.n_way), shape.n_query), (SAME, 1))
    score = score_episodes(features, support, query.reshape(SAME, -1), answers, Euclidean())
    data = _peer_data(features, options)
    tasks = np.concatenate([support, query], axis=2).reshape(SAME, -1).tolist()
    collate = Tasks(data, shape.n_way, shape.k_shot, shape.n_query, 1).episodic_collate_fn
    loader = DataLoader(data, batch_sampler=tasks, collate_fn=collate)
    theirs = evaluate(PrototypicalNetworks(nn.Identity()), loader, device="cpu", use_tqdm=False)
    mine = interval(score.accuracies)
    same = f"the same {SAME} episodes: dlcv {mine}, easyfsl {theirs:.4f}"
    if abs(mine.mean - theirs) > 1e-3:
        sys.exit(same)
    print(same, file=sys.stderr)


if __name__ == "__main__":
    main(
        "scoring episodes from features",
        "episodes/s",
        {
            "dlcv": ours,
            **installed(
                "easyfsl",
                {
                    "easyfsl": peer,
                    "easyfsl, 1 thread": partial(peer, threads=1),
                    "easyfsl, 2 workers": partial(peer, workers=2),
                },
            ),
        },
        _arguments,
        _prepare,
    )
