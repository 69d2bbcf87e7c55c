"""Class sets: presets, class files, and conversion between ids and colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcvcli.errors import ConfigError, DataError
from dlcvcli.palette import (
    OFF_TABLE,
    PRESETS,
    ClassSet,
    Colour,
    decode_colours,
    default_colours,
    encode_colours,
    load_class_set,
    palette_table,
    require_ids,
)

CHANNEL = st.integers(0, 255)


@st.composite
def class_sets(draw: st.DrawFn) -> ClassSet:
    """Class sets of any size, with and without an ignore colour."""
    count = draw(st.integers(1, 40))
    colours = draw(
        st.lists(
            st.tuples(CHANNEL, CHANNEL, CHANNEL),
            min_size=count + 1,
            max_size=count + 1,
            unique=True,
        )
    )
    return ClassSet(
        name="drawn",
        names=tuple(f"class {index}" for index in range(count)),
        colours=tuple(colours[:count]),
        ignore_index=draw(st.integers(count, 255)),
        ignore_colour=draw(st.sampled_from([None, colours[count]])),
        unscored=tuple(draw(st.sets(st.integers(0, count - 1), max_size=2))),
    )


def _every_id(classes: ClassSet) -> np.ndarray:
    ids = [*range(len(classes))]
    if classes.ignore_colour is not None:
        ids.append(classes.ignore_index)
    return np.array([ids, ids[::-1]], dtype=np.uint8)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_known_by_its_own_name(preset: str) -> None:
    assert PRESETS[preset].name == preset
    assert load_class_set(preset) is PRESETS[preset]


def test_landcover_has_the_ids_and_colours_of_the_course() -> None:
    classes = PRESETS["landcover7"]
    by_name = dict(zip(classes.names, classes.colours, strict=True))
    assert classes.names[6] == "unknown"
    assert classes.scored == (0, 1, 2, 3, 4, 5)
    assert by_name["urban"] == (0, 255, 255)
    assert by_name["forest"] == (0, 255, 0)
    assert by_name["unknown"] == (0, 0, 0)


def test_camvid_leaves_id_11_out() -> None:
    classes = PRESETS["camvid11"]
    assert (len(classes), classes.ignore_index, classes.ignore_colour) == (11, 11, (0, 0, 0))


def test_default_colours_are_those_of_pascal_voc() -> None:
    assert default_colours(21)[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert default_colours(21)[20] == (0, 64, 128)
    assert default_colours(256)[255] == (224, 224, 192)


def test_default_colours_never_repeat() -> None:
    assert len(set(default_colours(256))) == 256


@pytest.mark.parametrize("preset", PRESETS)
def test_ids_of_a_preset_survive_conversion_to_colours(preset: str) -> None:
    classes = PRESETS[preset]
    ids = _every_id(classes)
    assert np.array_equal(decode_colours(encode_colours(ids, classes), classes), ids)


@settings(deadline=None, max_examples=60)
@given(class_sets())
def test_ids_of_any_class_set_survive_conversion_to_colours(classes: ClassSet) -> None:
    ids = _every_id(classes)
    painted = encode_colours(ids, classes)
    assert painted.shape == (*ids.shape, 3)
    assert painted.dtype == np.uint8
    assert np.array_equal(decode_colours(painted, classes), ids)


@settings(deadline=None, max_examples=60)
@given(class_sets(), st.integers(0, 2**32 - 1))
def test_only_unknown_colours_are_off_table(classes: ClassSet, seed: int) -> None:
    colours = np.random.default_rng(seed).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    colours[0, 0] = classes.colours[-1]
    table: dict[Colour, int] = {colour: index for index, colour in enumerate(classes.colours)}
    if classes.ignore_colour is not None:
        table[classes.ignore_colour] = classes.ignore_index
    wanted = [[table.get(tuple(map(int, pixel)), OFF_TABLE) for pixel in row] for row in colours]
    assert decode_colours(colours, classes).tolist() == wanted


def test_one_bit_off_is_off_table() -> None:
    colours = np.array([[[0, 255, 254], [0, 255, 255]]], dtype=np.uint8)
    assert decode_colours(colours, PRESETS["landcover7"]).tolist() == [[OFF_TABLE, 0]]


def test_an_ignore_id_without_a_colour_becomes_black() -> None:
    assert palette_table(PRESETS["landcover7"])[255].tolist() == [0, 0, 0]


@settings(deadline=None, max_examples=60)
@given(class_sets())
def test_a_class_set_survives_as_plain_types_and_as_a_file(classes: ClassSet) -> None:
    assert ClassSet.from_dict(classes.as_dict()) == classes
    assert ClassSet.from_dict(yaml.safe_load(yaml.safe_dump(classes.as_dict()))) == classes


def _write(folder: Path, text: str) -> str:
    path = folder / "roads.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_class_file_with_a_mapping_is_read(tmp_path: Path) -> None:
    classes = load_class_set(
        _write(
            tmp_path,
            "names: [road, verge]\ncolours: [[1, 2, 3], [4, 5, 6]]\nignore_index: 9\n"
            "ignore_colour: [7, 8, 9]\nunscored: [1]\n",
        )
    )
    assert classes == ClassSet(
        "roads", ("road", "verge"), ((1, 2, 3), (4, 5, 6)), 9, (7, 8, 9), (1,)
    )


def test_a_class_file_with_a_list_of_names_takes_the_default_colours(tmp_path: Path) -> None:
    classes = load_class_set(_write(tmp_path, "- road\n- verge\n"))
    assert classes == ClassSet("roads", ("road", "verge"), default_colours(2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [a", "is not YAML"),
        ("42", "neither a mapping nor a list"),
        ("", "neither a mapping nor a list"),
        ("colours: [[1, 2, 3]]", "not a class set: 'names' is missing"),
        ("names: road", "'names' is not a list but 'road'"),
        ("names: {road: 0}", "'names' is not a list"),
        ("[road, yes]", "the class name True is not text; write it in quotes"),
        ("[road, 7]", "the class name 7 is not text"),
        ("[road, null]", "the class name None is not text"),
        ("names: []", "has 0 classes; it must have 1 to 255"),
        (yaml.safe_dump([f"c{i}" for i in range(256)]), "has 256 classes"),
        ("names: [a, a]", "names a class twice"),
        ("{names: [a, b], colours: [[1, 2, 3]]}", "2 names and 1 colours"),
        ("{names: [a, b], colours: [[1, 2, 3], [1, 2, 3]]}", "two classes the same colour"),
        ("{names: [a], colours: [[1, 2, 256]]}", "outside 0..255"),
        ("{names: [a], colours: [[1, 2]]}", "not a class set"),
        ("{names: [a], colours: [red]}", "the colour 'red' is not [R, G, B]"),
        ("{names: [a], colours: [[1, 2, 3.7]]}", "[1, 2, 3.7] is 3.7, not an integer"),
        ("{names: [a], colours: [[1, 2, true]]}", "is True, not an integer"),
        ("{names: [a], colours: [[1, 2, '3']]}", "is '3', not an integer"),
        ("{names: [a], ignore_index: 9.7}", "ignore_index is 9.7, not an integer"),
        ("{names: [a], unscored: [false]}", "an id of unscored is False, not an integer"),
        ("{names: [a], colours: 5}", "not a class set"),
        ("{names: [a], colours: [[1, 2, 3]], ignore_colour: [1, 2, 3]}", "the ignore colour"),
        ("{names: [a, b], ignore_index: 1}", "ignore_index 1 must be in 2..255"),
        ("{names: [a, b], ignore_index: 256}", "ignore_index 256"),
        ("{names: [a, b], ignore_index: none}", "not a class set"),
        ("{names: [a, b], ignore_index: .inf}", "not a class set"),
        ("{names: [a, b], unscored: [2]}", "unscored id 2 is not a class id (0..1)"),
        ("{names: [a, b], unscored: [-1]}", "unscored id -1"),
        ("{names: [a, b], unscored: 1}", "not a class set"),
        ("{names: [a], 7: 8}", "unknown key '7'"),
    ],
)
def test_a_class_file_that_does_not_fit_is_a_config_error(
    tmp_path: Path, text: str, message: str
) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_class_set(path)
    assert message in caught.value.message
    assert path in caught.value.message
    assert "\n" not in caught.value.message


def test_a_mistyped_key_of_a_class_file_is_named_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'colors'") as caught:
        load_class_set(_write(tmp_path, "{names: [a], colors: [[1, 2, 3]]}"))
    assert caught.value.hint == "did you mean 'colours'?"


def test_binary_class_files_are_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "roads.yaml").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_class_set(str(tmp_path / "roads.yaml"))


def test_an_unknown_class_set_is_refused_with_the_nearest_preset(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="neither a class preset nor a file") as caught:
        load_class_set("landcover")
    assert caught.value.hint == "did you mean 'landcover7'?"
    with pytest.raises(ConfigError, match=f"class file {tmp_path} is a folder, not a YAML file"):
        load_class_set(str(tmp_path))


@pytest.mark.parametrize("data", [{"names": ["a"], "name": 3}, {"names": ("a",)}])
def test_plain_types_may_lack_all_but_the_names(data: dict[str, Any]) -> None:
    assert ClassSet.from_dict(data).ignore_index == 255


def test_ids_of_the_classes_and_the_ignore_id_are_accepted() -> None:
    require_ids(np.array([[0, 10, 11]], dtype=np.uint8), PRESETS["camvid11"], "a.png")


def test_unknown_ids_are_refused_with_file_ids_and_count() -> None:
    mask = np.zeros((50, 60), dtype=np.uint8)
    mask[:40, :30] = 12
    mask[49, :5] = 200
    mask[48] = 11
    with pytest.raises(DataError) as caught:
        require_ids(mask, PRESETS["camvid11"], "set/trainannot/7.png")
    assert caught.value.message == (
        "set/trainannot/7.png: class id 12, 200 is not in 'camvid11' (ids 0..10, ignore 11); "
        "1,205 pixels"
    )
    assert "--classes" in caught.value.hint
