"""A model's record of its training images survives, and prevents validation on them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.data.seen_images import LENGTH, SeenImages, digest_of
from dlcvcli.errors import DataError, UsageError

digests = st.binary(min_size=LENGTH, max_size=LENGTH)
A, B, C, D = (digest_of(name) for name in (b"a", b"b", b"c", b"d"))


@given(st.frozensets(digests), st.lists(digests).map(tuple))
def test_a_record_survives_json_unchanged(
    trained: frozenset[bytes], validated: tuple[bytes, ...]
) -> None:
    seen = SeenImages(trained, validated)
    assert SeenImages.from_dict(json.loads(json.dumps(seen.as_dict()))) == seen
    assert seen.leaked == sum(one in trained for one in validated)


@pytest.mark.parametrize(
    "damaged", [{}, {"trained": ""}, {"trained": "????", "validated": ""}, {"trained": 1}]
)
def test_a_damaged_record_is_an_error(damaged: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        SeenImages.from_dict(damaged)


def test_a_truncated_record_is_an_error() -> None:
    kept = SeenImages(frozenset({A}), (B,)).as_dict()
    assert kept["complete"] is True
    with pytest.raises(ValueError, match="no digests"):
        SeenImages.from_dict(kept | {"trained": kept["trained"][:8]})


def test_loaded_weights_add_their_training_images_to_the_record() -> None:
    first = SeenImages(frozenset({A}), (B,))
    second = SeenImages(frozenset({C}), (D,)).beginning_from(first, "--init first", allow=False)
    assert second == SeenImages(frozenset({A, C}), (D,))
    third = SeenImages(frozenset(), (A, B, A), (C, D))
    with pytest.raises(UsageError, match="--init second was trained on 3 of the 5 images"):
        third.beginning_from(second, "--init second", allow=False)
    allowed = third.beginning_from(second, "--init second", allow=True)
    assert (allowed.leaked, allowed.validated) == (2, (A, B, A))
    assert allowed.warnings() == [
        "2 of the 3 validation images were trained on: the validation score is too high",
        "1 of the 2 test images were trained on: the test score is too high",
    ]


def test_weights_without_a_record_leave_the_record_incomplete() -> None:
    own = SeenImages(frozenset({A}), (B,))
    first = own.beginning_from(None, "--init old", allow=False)
    assert (first.complete, len(first.warnings())) == (False, 1)
    # Runs that start from it keep the record.
    assert not own.beginning_from(first, "--init first", allow=False).complete


def test_validating_on_exactly_the_training_images_is_refused() -> None:
    with pytest.raises(DataError, match="all 2 validation images of set are its training images"):
        SeenImages(frozenset({A, B}), (B, A)).require_apart("set")
    SeenImages(frozenset({A, B}), (B,)).require_apart("set")
