"""Scores of a classifier: against scikit-learn, and as sums that can be split."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from dlcvcli.tasks.classification.metrics import (
    BINS,
    ClassificationMetrics,
    ClassificationScore,
    log_softmax,
    top_hits,
    wilson,
)

CLASSES = tuple("abcdefg")


def sample(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(CLASSES), count)
    logits = rng.normal(0, 2, (count, len(CLASSES))).astype(np.float32)
    logits[np.arange(count), labels] += 1
    return labels, logits


def computed(labels: np.ndarray, logits: np.ndarray) -> ClassificationMetrics:
    score = ClassificationScore(CLASSES)
    score.update(labels, logits)
    return score.compute()


@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_accuracies_are_those_of_scikit_learn(seed: int, count: int) -> None:
    labels, logits = sample(seed, count)
    found, predicted = computed(labels, logits), logits.argmax(axis=1)
    every = range(len(CLASSES))
    assert found["top1"] == pytest.approx(sk.accuracy_score(labels, predicted))
    assert found["top5"] == pytest.approx(
        sk.top_k_accuracy_score(labels, logits, k=5, labels=every)
    )
    matrix = sk.confusion_matrix(labels, predicted, labels=every)
    assert found["confusion"]["counts"] == matrix.tolist()
    recalls = sk.recall_score(labels, predicted, labels=np.unique(labels), average=None)
    assert found["balanced_accuracy"] == pytest.approx(recalls.mean())
    assert found["classes_present"] == len(recalls)
    loss = sk.log_loss(labels, np.exp(log_softmax(logits)), labels=every)
    assert found["loss"] == pytest.approx(loss)


@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 59))
def test_parts_of_a_set_can_be_added(seed: int, count: int, cut: int) -> None:
    labels, logits = sample(seed, count)
    parts = [ClassificationScore(CLASSES) for _ in range(2)]
    for part, where in zip(parts, (slice(0, cut), slice(cut, None)), strict=True):
        part.update(labels[where], logits[where])
    together = ClassificationScore(CLASSES, parts[0].sums + parts[1].sums).compute()
    complete = computed(labels, logits)
    assert together["confusion"] == complete["confusion"]
    assert together["ece"] == pytest.approx(complete["ece"])
    assert together["loss"] == pytest.approx(complete["loss"])


def test_calibration_error_of_bins_by_hand() -> None:
    # Two images with confidence 0.8, one of them right; two with 0.6, both right.
    def logits(confidence: float) -> list[float]:
        return [math.log(confidence), math.log(1 - confidence)]

    score = ClassificationScore(("a", "b"))
    score.update(
        np.array([0, 1, 0, 0]),
        np.array([logits(0.8), logits(0.8), logits(0.6), logits(0.6)], np.float32),
    )
    found = score.compute()
    assert found["ece"] == pytest.approx((2 * abs(0.5 - 0.8) + 2 * abs(1 - 0.6)) / 4)
    full = [one for one in found["reliability"] if one["count"]]
    assert [one["count"] for one in full] == [2, 2]
    assert [one["accuracy"] for one in full] == [1.0, 0.5]
    assert len(found["reliability"]) == BINS


def test_a_class_without_images_is_not_in_the_mean() -> None:
    score = ClassificationScore(("a", "b", "c"))
    score.update(np.array([0, 0, 1]), np.eye(3, dtype=np.float32)[[0, 1, 1]])
    found = score.compute()
    assert found["per_class"] == {"a": 0.5, "b": 1.0, "c": None}
    assert found["balanced_accuracy"] == 0.75
    assert found["majority_baseline"] == pytest.approx(2 / 3)
    assert found["top5"] is None


def test_equal_logits_are_decided_as_by_argmax() -> None:
    logits = np.zeros((2, 3), np.float32)
    assert top_hits(np.array([0, 1]), logits, 1) == 1
    assert top_hits(np.array([0, 2]), logits, 2) == 1
    assert top_hits(np.array([2, 2]), logits, 3) == 2


@pytest.mark.parametrize(
    ("right", "count", "interval"),
    # Of 81 of 263: Newcombe 1998, Statistics in Medicine 17: 857-872, table I, method 3.
    [(81, 263, (0.2553, 0.3662)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_intervals_are_the_published_ones(
    right: int, count: int, interval: tuple[float, float]
) -> None:
    assert wilson(right, count) == pytest.approx(interval, abs=5e-5)
