"""What a few-shot model's certificate compares, and when it passes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from dlcvcli.exporting.certify import Certificate
from dlcvcli.exporting.certify_embedder import (
    EmbeddingCase,
    EpisodeCase,
    compare_episode,
    parity_episodes,
    parity_sizes,
)
from dlcvcli.runtime.metadata import EmbedderCard

CARD = EmbedderCard("fewshot", "resnet12", 640, {"name": "euclidean"}, size=(84, 84))


def test_an_embedding_is_judged_by_its_error_alone() -> None:
    good, bad = EmbeddingCase((7, 84, 84), 9e-5), EmbeddingCase((1, 84, 84), 2e-4)
    assert good.passed
    assert not bad.passed
    certificate = Certificate({"onnx_checker": None}, (good, bad))
    assert certificate.failures == [
        "images [1, 84, 84]: embeddings differ by 0.0002 of the largest value (at most 0.0001)"
    ]
    said = certificate.as_dict()
    assert said["tolerances"] == {"embedding_error": 1e-4}
    assert said["parity"]["max_embedding_error"] == 2e-4
    assert [case["passed"] for case in said["parity"]["cases"]] == [True, False]


@pytest.mark.parametrize(
    ("error", "agreement", "gap", "passed"),
    [
        (1e-5, 1.0, 0.0, True),
        (1e-5, 0.96, 1e-4, True),
        (1e-5, 0.96, 3e-4, False),
        (1e-5, 0.99995, 0.1, True),
        (1e-3, 1.0, 0.0, False),
        (math.inf, 1.0, 0.0, False),
    ],
)
def test_a_query_may_differ_where_it_nearly_ties(
    error: float, agreement: float, gap: float, passed: bool
) -> None:
    case = EpisodeCase((5, 1, 84, 84), 25, error, agreement, 1, gap)
    assert case.passed == passed
    assert "support [5, 1, 84, 84], 25 queries: logits differ by" in case.describe()


def test_a_network_that_tells_nothing_apart_is_no_failed_export() -> None:
    # Logits alike but for rounding, as those of a cosine after two steps: their range is as small.
    reference = np.full((3, 5), 9.99, np.float32)
    found = reference.copy()
    reference[:, 1] = np.nextafter(reference[:, 1], np.float32(10))
    found[:, 2] = np.nextafter(found[:, 2], np.float32(10))
    case = compare_episode((5, 1, 84, 84), reference, found)
    assert (case.differing, case.agreement) == (3, 0)
    assert case.passed
    reference[:, 1] += 0.01
    assert not compare_episode((5, 1, 84, 84), reference, found).passed


def test_what_is_no_number_can_be_written() -> None:
    for case in (
        EmbeddingCase((1, 84, 84), math.inf),
        EpisodeCase((5, 1, 84, 84), 25, math.inf, 0.0, 25, math.inf),
    ):
        certificate = Certificate({}, (case,))
        assert not certificate.passed
        text = json.dumps(certificate.as_dict(), allow_nan=False)
        assert json.loads(text)["parity"]["cases"][0]["passed"] is False


def test_another_size_is_compared_where_any_will_do() -> None:
    assert parity_sizes(CARD, any_size=False) == [(84, 84)]
    own, other = parity_sizes(CARD, any_size=True)
    assert own == (84, 84)
    assert other[0] != other[1]
    assert other[0] % 2


def test_episodes_are_those_of_the_card_and_two_others() -> None:
    assert parity_episodes(CARD) == [(5, 1, 25), (2, 1, 1), (7, 2, 3)]
