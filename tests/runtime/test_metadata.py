"""A card goes into a file's metadata and comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.errors import ModelFileError
from dlcvcli.palette import PRESETS
from dlcvcli.runtime.metadata import SegmenterCard, read_card

sizes = st.none() | st.tuples(st.integers(1, 4096), st.integers(1, 4096))


@given(
    st.sampled_from(sorted(PRESETS)),
    sizes,
    st.booleans(),
    st.none() | st.just("camvid"),
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
)
def test_a_card_comes_back_as_it_was(
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
    assert read_card(metadata, "x") == card


def test_a_foreign_a_newer_and_a_damaged_file_are_told_apart() -> None:
    good = SegmenterCard("seg", "m", PRESETS["voc21"], 16).to_metadata()
    with pytest.raises(ModelFileError, match="not one that dlcv exported"):
        read_card({}, "x.onnx")
    with pytest.raises(ModelFileError, match="dlcv format 9"):
        read_card({**good, "dlcv_format": "9"}, "x.onnx")
    for key in ("class_set", "stride"):
        broken = {k: v for k, v in good.items() if k != key}
        with pytest.raises(ModelFileError, match="damaged"):
            read_card(broken, "x.onnx")
    with pytest.raises(ModelFileError, match="damaged"):
        read_card({**good, "size": "{"}, "x.onnx")
