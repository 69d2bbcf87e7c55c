"""Scores against a brute-force reference: every number exactly, on any masks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dlcvcli.errors import UsageError
from dlcvcli.metrics import CONVENTIONS, SegmentationScore, confusion_matrix
from dlcvcli.palette import PRESETS, ClassSet, default_colours

Ids = NDArray[np.uint8]
SCALARS = ("miou", "overall_acc", "mean_acc", "freqw_acc")


def _class_set(count: int, unscored: tuple[int, ...] = ()) -> ClassSet:
    names = tuple(f"c{index}" for index in range(count))
    return ClassSet("synthetic", names, default_colours(count), unscored=unscored)


@st.composite
def pictures(draw: st.DrawFn, most: int = 255, least: int = 1) -> tuple[int, list[tuple[Ids, Ids]]]:
    """A number of classes and pairs of ground truth and prediction, with absent classes."""
    count = draw(st.integers(least, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    present = rng.permutation(count)[: draw(st.integers(1, count))].astype(np.uint8)
    truths = np.append(present, draw(st.sampled_from([[], [count], [255], [count, 255]])))
    pairs = []
    for _ in range(draw(st.integers(1, 4))):
        shape = (draw(st.integers(1, 23)), draw(st.integers(1, 23)))
        target = rng.choice(truths, shape).astype(np.uint8)
        pairs.append((target, rng.choice(present, shape).astype(np.uint8)))
    return count, pairs


def _brute_matrix(target: Ids, prediction: Ids, count: int) -> NDArray[np.int64]:
    counts = np.zeros((count, count), dtype=np.int64)
    for row, column in zip(target.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if row < count:
            counts[row, column] += 1
    return counts


def _brute_scores(
    pairs: list[tuple[Ids, Ids]], count: int, masked: set[int], rated: list[int]
) -> dict[str, Any]:
    """Score concatenated pixels class by class, as the definitions read.

    `masked` are true ids whose pixels do not exist; `rated` the classes that enter a mean.
    """
    target = np.concatenate([t.ravel() for t, _ in pairs])
    prediction = np.concatenate([p.ravel() for _, p in pairs])
    seen = (target < count) & ~np.isin(target, list(masked))
    target, prediction = target[seen], prediction[seen]
    iou: list[float | None] = [None] * count
    acc: list[float | None] = [None] * count
    for index in rated:
        both = int(np.sum((target == index) & (prediction == index)))
        either = int(np.sum((target == index) | (prediction == index)))
        real = int(np.sum(target == index))
        iou[index] = both / either if either else None
        acc[index] = both / real if real else None
    known = [(index, value) for index, value in enumerate(iou) if value is not None]
    weights = [float(np.sum(target == index)) for index, _ in known]
    values = [value for value in acc if value is not None]
    weighted = math.fsum(w * v for w, (_, v) in zip(weights, known, strict=True))
    return {
        "miou": float(np.mean([value for _, value in known])) if known else None,
        "overall_acc": float(np.mean(target == prediction)) if len(target) else None,
        "mean_acc": float(np.mean(values)) if values else None,
        "freqw_acc": weighted / sum(weights) if sum(weights) else None,
        "iou": iou,
        "acc": acc,
        "classes_present": len({*target.tolist()} & {*rated}),
        "classes_scored": len(known),
    }


def _gather(pairs: list[tuple[Ids, Ids]], classes: ClassSet) -> SegmentationScore:
    score = SegmentationScore(classes)
    for target, prediction in pairs:
        score.update(target, prediction)
    return score


@settings(deadline=None, max_examples=80)
@given(pictures())
def test_the_matrix_equals_counting_pixel_by_pixel(
    drawn: tuple[int, list[tuple[Ids, Ids]]],
) -> None:
    count, pairs = drawn
    for target, prediction in pairs:
        counts = confusion_matrix(target, prediction, count)
        assert counts.dtype == np.int64
        assert np.array_equal(counts, _brute_matrix(target, prediction, count))


@settings(deadline=None, max_examples=80)
@given(pictures(most=21), st.data())
def test_scores_equal_the_definitions_exactly(
    drawn: tuple[int, list[tuple[Ids, Ids]]], data: st.DataObject
) -> None:
    count, pairs = drawn
    unscored = data.draw(st.sets(st.integers(0, count - 1), max_size=2))
    classes = _class_set(count, tuple(sorted(unscored)))
    rated = [index for index in range(count) if index not in unscored]
    wanted = _brute_scores(pairs, count, unscored, rated)
    got = _gather(pairs, classes).compute("voc")
    assert {key: got[key] for key in (*SCALARS, "classes_present", "classes_scored")} == {
        key: wanted[key] for key in (*SCALARS, "classes_present", "classes_scored")
    }
    assert list(got["iou_per_class"].values()) == wanted["iou"]
    assert list(got["acc_per_class"].values()) == wanted["acc"]


@settings(deadline=None, max_examples=60)
@given(pictures(most=7, least=7))
def test_both_conventions_of_land_cover_equal_their_definitions(
    drawn: tuple[int, list[tuple[Ids, Ids]]],
) -> None:
    pairs = drawn[1]
    score = _gather(pairs, PRESETS["landcover7"])
    for convention, masked in (("voc", {6}), ("dlcv", set())):
        wanted = _brute_scores(pairs, 7, masked, list(range(6)))
        got = score.compute(convention)
        assert {key: got[key] for key in SCALARS} == {key: wanted[key] for key in SCALARS}
        assert list(got["iou_per_class"].values()) == wanted["iou"]


@settings(deadline=None, max_examples=60)
@given(pictures(most=7, least=7))
def test_conventions_of_other_projects_score_every_class(
    drawn: tuple[int, list[tuple[Ids, Ids]]],
) -> None:
    pairs = drawn[1]
    score = _gather(pairs, PRESETS["landcover7"])
    wanted = _brute_scores(pairs, 7, set(), list(range(7)))
    mmseg, torchvision = score.compute("mmseg"), score.compute("torchvision")
    assert {key: mmseg[key] for key in SCALARS} == {key: wanted[key] for key in SCALARS}
    assert torchvision["iou_per_class"] == mmseg["iou_per_class"]
    assert torchvision["overall_acc"] == wanted["overall_acc"]
    # A mean over a class that is absent is NaN there.
    for mean, values in (("miou", wanted["iou"]), ("mean_acc", wanted["acc"])):
        assert torchvision[mean] == (None if None in values else wanted[mean])


@settings(deadline=None, max_examples=40)
@given(pictures(most=21), st.randoms(use_true_random=False))
def test_order_batches_and_merging_change_nothing(
    drawn: tuple[int, list[tuple[Ids, Ids]]], random: Any
) -> None:
    count, pairs = drawn
    classes = _class_set(count)
    straight = _gather(pairs, classes)
    shuffled = random.sample(pairs, len(pairs))
    first, second = _gather(shuffled[::2], classes), _gather(shuffled[1::2], classes)
    first.merge(second.counts)
    flat = SegmentationScore(classes)
    flat.update(
        np.concatenate([target.ravel() for target, _ in pairs]),
        np.concatenate([prediction.ravel() for _, prediction in pairs]),
    )
    assert straight.compute() == first.compute() == flat.compute()


def test_a_batch_of_masks_counts_like_single_masks() -> None:
    rng = np.random.default_rng(0)
    target, prediction = rng.integers(0, 5, (2, 3, 11, 13)).astype(np.uint8)
    apart = sum(confusion_matrix(t, p, 5) for t, p in zip(target, prediction, strict=True))
    assert np.array_equal(confusion_matrix(target, prediction, 5), apart)


def _landcover_example() -> SegmentationScore:
    """Ten pixels of land cover: urban 4, agriculture 3, unknown 2, ignored 1."""
    score = SegmentationScore(PRESETS["landcover7"])
    score.update(
        np.array([[0, 0, 0, 0, 1, 1, 1, 6, 6, 255]], dtype=np.uint8),
        np.array([[0, 0, 0, 1, 1, 1, 6, 0, 6, 3]], dtype=np.uint8),
    )
    return score


def test_voc_excludes_pixels_of_unknown_ground_truth() -> None:
    # urban: 3 hits of 4 true and 3 predicted (the one on unknown is masked): 3/4.
    # agriculture: 2 hits of 3 true and 3 predicted: 2 / (3 + 3 - 2) = 1/2.
    scores = _landcover_example().compute("voc")
    assert scores["iou_per_class"]["urban"] == 3 / 4
    assert scores["iou_per_class"]["agriculture"] == 1 / 2
    assert scores["iou_per_class"]["unknown"] is None
    assert scores["miou"] == 5 / 8
    assert scores["overall_acc"] == 5 / 7
    assert scores["mean_acc"] == (3 / 4 + 2 / 3) / 2
    assert scores["freqw_acc"] == pytest.approx((4 * 3 / 4 + 3 * 1 / 2) / 7, abs=1e-15)


def test_dlcv_counts_predictions_on_unknown_ground_truth_against_their_class() -> None:
    # urban: 3 hits of 4 true and 4 predicted, one of them on unknown: 3 / (4 + 4 - 3) = 3/5.
    # agriculture: as under voc, 1/2. unknown itself is predicted and true, and not in the mean.
    scores = _landcover_example().compute("dlcv")
    assert scores["iou_per_class"]["urban"] == 3 / 5
    assert scores["iou_per_class"]["agriculture"] == 1 / 2
    assert scores["iou_per_class"]["unknown"] is None
    assert scores["miou"] == pytest.approx(11 / 20, abs=1e-15)
    # Nine pixels have a true class, unknown's two among them; six are right.
    assert scores["overall_acc"] == 6 / 9


def test_dlcv_averages_the_first_six_classes_when_all_are_there() -> None:
    # Each of the seven classes is true in ten pixels. Class k < 6 has k pixels predicted as
    # unknown, and unknown is always predicted as urban: IoU is 10 / 20 for urban, and
    # (10 - k) / 10 for the others.
    target = np.repeat(np.arange(7, dtype=np.uint8), 10)
    prediction = target.copy()
    for index in range(6):
        prediction[10 * index : 10 * index + index] = 6
    prediction[60:] = 0
    score = SegmentationScore(PRESETS["landcover7"])
    score.update(target, prediction)
    scores = score.compute("dlcv")
    assert list(scores["iou_per_class"].values()) == [0.5, 0.9, 0.8, 0.7, 0.6, 0.5, None]
    assert scores["miou"] == pytest.approx((0.5 + 0.9 + 0.8 + 0.7 + 0.6 + 0.5) / 6, abs=1e-15)
    # Under voc the pixels of unknown are excluded, so urban is perfect.
    assert score.compute("voc")["iou_per_class"]["urban"] == 1.0


def test_an_absent_class_is_none_and_not_in_the_mean() -> None:
    score = SegmentationScore(_class_set(4))
    score.update(np.array([[0, 0, 1]], dtype=np.uint8), np.array([[0, 1, 1]], dtype=np.uint8))
    scores = score.compute()
    assert scores["iou_per_class"] == {"c0": 1 / 2, "c1": 1 / 2, "c2": None, "c3": None}
    assert scores["miou"] == 1 / 2
    assert (scores["classes_present"], scores["classes_scored"]) == (2, 2)


def test_a_class_that_is_only_predicted_is_scored_with_zero_but_not_present() -> None:
    score = SegmentationScore(_class_set(3))
    score.update(np.array([[0, 0]], dtype=np.uint8), np.array([[0, 2]], dtype=np.uint8))
    scores = score.compute()
    assert scores["iou_per_class"] == {"c0": 1 / 2, "c1": None, "c2": 0.0}
    assert scores["acc_per_class"] == {"c0": 1 / 2, "c1": None, "c2": None}
    assert scores["miou"] == 1 / 4
    assert scores["mean_acc"] == 1 / 2
    assert (scores["classes_present"], scores["classes_scored"]) == (1, 2)


@settings(deadline=None, max_examples=60)
@given(pictures(most=7, least=7))
def test_imagewise_is_the_mean_over_images_of_an_iou_over_all_pixels(
    drawn: tuple[int, list[tuple[Ids, Ids]]],
) -> None:
    pairs = drawn[1]
    score = SegmentationScore(PRESETS["landcover7"], imagewise=True)
    sums = np.zeros(7)
    images = []
    for target, prediction in pairs:
        score.update(target, prediction)
        seen = target < 7
        t, p = target[seen], prediction[seen]
        both, either = int(np.sum(t == p)), int(np.sum(t == p) + 2 * np.sum(t != p))
        # An absent class scores 1, by their rule for 0 / 0.
        images.append(both / either if either else 1.0)
        for index in range(7):
            union = int(np.sum((t == index) | (p == index)))
            sums[index] += np.sum((t == index) & (p == index)) / union if union else 1.0
    scores = score.compute("smp-imagewise")
    assert scores["miou"] == pytest.approx(np.mean(images))
    occurs = score.counts.any(axis=0) | score.counts.any(axis=1)
    means = [m if there else None for m, there in zip(sums / len(pairs), occurs, strict=True)]
    assert list(scores["iou_per_class"].values()) == pytest.approx(means)
    assert scores["overall_acc"] == score.compute("mmseg")["overall_acc"]
    # The matrix, and with it every other convention, is the one without it.
    assert score.compute() == _gather(pairs, PRESETS["landcover7"]).compute()


def test_imagewise_needs_the_images_one_by_one() -> None:
    with pytest.raises(ValueError, match="one by one"):
        _landcover_example().compute("smp-imagewise")


def test_results_have_the_confusion_matrix_and_the_rules() -> None:
    score = _landcover_example()
    scores = score.compute_all(["voc", "mmseg"])
    assert scores["confusion"]["classes"] == list(PRESETS["landcover7"].names)
    assert scores["confusion"]["counts"] == score.counts.tolist()
    rules = {one["rule"] for one in scores["by_convention"].values()}
    assert len(rules) == 2


@pytest.mark.parametrize("convention", [name for name in CONVENTIONS if name != "smp-imagewise"])
def test_scores_without_labels_are_none(convention: Any) -> None:
    score = SegmentationScore(PRESETS["landcover7"])
    score.update(np.full((3, 3), 255, dtype=np.uint8), np.ones((3, 3), dtype=np.uint8))
    scores = score.compute(convention)
    assert [scores[key] for key in SCALARS] == [None] * 4
    assert {*scores["iou_per_class"].values(), *scores["acc_per_class"].values()} == {None}
    assert (scores["classes_present"], scores["classes_scored"]) == (0, 0)


def test_an_empty_mask_changes_no_counts() -> None:
    empty = np.zeros((0, 4), dtype=np.uint8)
    assert not confusion_matrix(empty, empty, 3).any()


def test_a_prediction_out_of_range_raises() -> None:
    with pytest.raises(ValueError, match="prediction holds id 3, with 3 classes"):
        confusion_matrix(np.array([255], dtype=np.uint8), np.array([3], dtype=np.uint8), 3)


def test_masks_of_other_shapes_or_types_raise() -> None:
    mask = np.zeros((2, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="shapes differ"):
        confusion_matrix(mask, mask.T, 2)
    with pytest.raises(ValueError, match="must be uint8"):
        confusion_matrix(mask, mask.astype(np.int64), 2)
    with pytest.raises(ValueError, match="must be uint8"):
        confusion_matrix(mask.astype(np.int64), mask, 2)


def test_dlcv_without_a_class_named_unknown_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="needs a class named 'unknown'") as caught:
        SegmentationScore(PRESETS["camvid11"]).compute("dlcv")
    assert caught.value.hint == "use --metric voc"


def test_an_unknown_convention_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="unknown metric 'coco'"):
        SegmentationScore(PRESETS["voc21"]).compute("coco")  # type: ignore[arg-type]


def test_all_conventions_come_from_one_matrix_and_the_first_is_on_top() -> None:
    score = _landcover_example()
    scores = score.compute_all(["dlcv", "voc"])
    assert scores["by_convention"] == {"dlcv": score.compute("dlcv"), "voc": score.compute("voc")}
    assert scores["miou"] == score.compute("dlcv")["miou"]


def test_computing_scores_does_not_change_the_counts() -> None:
    score = _landcover_example()
    before = score.counts.copy()
    score.compute_all(["voc", "dlcv"])
    assert np.array_equal(score.counts, before)
