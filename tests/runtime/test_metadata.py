"""A card is saved in the metadata of a file and loaded from it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.errors import ModelFileError
from dlcvcli.palette import PRESETS
from dlcvcli.prototypes import packed, unpacked
from dlcvcli.runtime.metadata import ModelCard, read_task
from dlcvcli.tasks.fewshot.card import EncoderCard
from dlcvcli.tasks.segmentation.card import SegmenterCard

sizes = st.none() | st.tuples(st.integers(1, 4096), st.integers(1, 4096))


@given(
    st.sampled_from(sorted(PRESETS)),
    sizes,
    st.booleans(),
    st.none() | st.just("camvid"),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
)
def test_a_card_is_equal_after_saving_and_loading(
    classes: str,
    size: tuple[int, int] | None,
    binarise: bool,
    recipe: str | None,
    config: dict[str, object],
) -> None:
    card = SegmenterCard(
        task="seg",
        model="m",
        classes=PRESETS[classes],
        stride=16,
        size=size,
        binarise=binarise,
        recipe=recipe,
        data={"train": "ab"},
        metric={"miou": 0.5},
        config=config,
        versions={"dlcv": "1"},
        checkpoint_sha256="cd",
    )
    metadata = card.to_metadata()
    assert all(isinstance(value, str) for value in metadata.values())
    assert SegmenterCard.read(metadata, "x") == card


floats32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
names = st.text(min_size=1, max_size=5)
distances = st.one_of(
    st.just({"name": "euclidean"}),
    st.builds(lambda scale: {"name": "cosine", "scale": scale}, st.floats(1e-3, 1e3)),
    st.builds(
        lambda row: {"name": "parametric", "weights": {"w": packed(np.array(row, np.float32))}},
        st.lists(floats32, min_size=1, max_size=4),
    ),
)


@given(
    sizes,
    distances,
    st.tuples(*[st.floats(0, 1)] * 3),
    st.tuples(st.integers(2, 20), st.integers(1, 10), st.integers(1, 19)),
    st.booleans(),
    st.dictionaries(names, st.lists(names, max_size=3), max_size=3),
    st.sampled_from(["encoder", "episode"]),
)
def test_a_few_shot_card_is_equal_after_saving_and_loading(
    size: tuple[int, int] | None,
    distance: dict[str, Any],
    mean: tuple[float, float, float],
    shape: tuple[int, int, int],
    rotations: bool,
    classes: dict[str, list[str]],
    graph: str,
) -> None:
    card = EncoderCard(
        task="fewshot",
        model="m",
        dimension=64,
        distance=distance,
        mean=mean,
        std=(0.1, 0.2, 0.3),
        shape=shape,
        rotations=rotations,
        classes=classes,
        graph=graph,
        size=size,
        metric={"accuracy": 0.5},
    )
    metadata = card.to_metadata()
    assert all(isinstance(value, str) for value in metadata.values())
    again = EncoderCard.read(metadata, "x")
    assert again == card
    if distance["name"] == "parametric":
        before, after = (unpacked(each.distance["weights"]["w"]) for each in (card, again))
        assert before.tobytes() == after.tobytes()


def test_a_card_of_another_task_is_refused() -> None:
    seg = SegmenterCard("seg", "m", PRESETS["voc21"], 16).to_metadata()
    few = EncoderCard("fewshot", "m", 64, {"name": "euclidean"})
    assert (read_task(seg, "x"), read_task(few.to_metadata(), "x")) == ("seg", "fewshot")
    assert EncoderCard.read(few.to_metadata(), "x") == few
    with pytest.raises(ModelFileError, match="x is a model of task fewshot; one of seg is needed"):
        SegmenterCard.read(few.to_metadata(), "x")
    with pytest.raises(ModelFileError, match="x is a model of task seg; one of fewshot is needed"):
        EncoderCard.read(seg, "x")
    for key in ("graph", "distance", "episode"):
        broken = {k: v for k, v in few.to_metadata().items() if k != key}
        with pytest.raises(ModelFileError, match="damaged"):
            EncoderCard.read(broken, "x")


def test_common_metadata_is_read_without_knowing_the_task() -> None:
    for card in (
        SegmenterCard("seg", "m", PRESETS["voc21"], 16, checkpoint_sha256="ab"),
        EncoderCard("fewshot", "m", 64, {"name": "euclidean"}, checkpoint_sha256="ab"),
    ):
        common = ModelCard.read(card.to_metadata(), "x")
        assert (common.task, common.model, common.checkpoint_sha256) == (card.task, "m", "ab")
        assert common.class_count is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("size", "[0, 0]"), ("size", "[-1, 5]"), ("size", "[5]"), ("size", "7")),
        *(("size", '["5", 5]'), ("size", "[5.0, 5]"), ("size", "[99999999, 5]")),
        *(("stride", '"junk"'), ("stride", "0"), ("stride", "true"), ("binarise", "1")),
        *(("class_set", "[]"), ("class_set", '{"names": []}'), ("classes", '["a", "b"]')),
        *(("config", "[" * 100_000), ("metric", '{"miou": NaN}'), ("versions", "[]")),
    ],
)
def test_metadata_of_a_wrong_kind_is_refused_by_its_key(key: str, value: str) -> None:
    good = SegmenterCard("seg", "m", PRESETS["voc21"], 16).to_metadata()
    with pytest.raises(ModelFileError, match=r"x\.onnx: its dlcv metadata is damaged") as caught:
        SegmenterCard.read({**good, key: value}, "x.onnx")
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300


def test_class_names_in_another_order_in_one_of_two_places_are_refused() -> None:
    good = SegmenterCard("seg", "m", PRESETS["voc21"], 16).to_metadata()
    reordered = json.dumps(json.loads(good["classes"])[::-1])
    with pytest.raises(ModelFileError, match="name different classes"):
        SegmenterCard.read({**good, "classes": reordered}, "x.onnx")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("distance", "{}"), ("distance", '{"name": "manhattan"}'), ("distance", "[]")),
        *(("distance", '{"name": "cosine", "scale": 0}'), ("distance", '{"name": "cosine"}')),
        (
            "distance",
            '{"name": "parametric", "weights": {"w": {"shape": [1], "float32": "AADAfw=="}}}',
        ),
        ("distance", '{"name": "parametric", "weights": {"w": {"shape": [2], "float32": "AAAA"}}}'),
        *(("dimension", "0"), ("episode", "[5, 1]"), ("episode", "[5, 0, 1]"), ("mean", "[1, 2]")),
        *(("std", '["a", 1, 1]'), ("class_splits", '{"train": "ab"}'), ("rotations", "null")),
    ],
)
def test_few_shot_metadata_of_a_wrong_kind_is_refused(key: str, value: str) -> None:
    good = EncoderCard("fewshot", "m", 64, {"name": "euclidean"}).to_metadata()
    with pytest.raises(ModelFileError, match=r"x\.onnx: its dlcv metadata is damaged"):
        EncoderCard.read({**good, key: value}, "x.onnx")


def test_foreign_newer_and_damaged_files_have_errors_of_their_own() -> None:
    good = SegmenterCard("seg", "m", PRESETS["voc21"], 16).to_metadata()
    with pytest.raises(ModelFileError, match="not one that dlcv exported"):
        SegmenterCard.read({}, "x.onnx")
    with pytest.raises(ModelFileError, match="dlcv format 9"):
        SegmenterCard.read({**good, "dlcv_format": "9"}, "x.onnx")
    for key in ("class_set", "stride"):
        broken = {k: v for k, v in good.items() if k != key}
        with pytest.raises(ModelFileError, match="damaged"):
            SegmenterCard.read(broken, "x.onnx")
    with pytest.raises(ModelFileError, match="damaged"):
        SegmenterCard.read({**good, "size": "{"}, "x.onnx")
