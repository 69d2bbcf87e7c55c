"""Masks from colours to ids and back: nothing is lost, and no input is changed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dlcvcli.data.convert import Converted, Form, convert, plan_conversion
from dlcvcli.data.masks import read_mask, write_mask
from dlcvcli.errors import DataError, UsageError
from dlcvcli.palette import PRESETS, ClassSet, Mask, encode_colours, with_ignore_colour

LAND, CAMVID = PRESETS["landcover7"], PRESETS["camvid11"]
# Neither an ignore colour nor a black class, as class files often have it.
PLAIN = ClassSet("plain", ("a", "b"), ((255, 0, 0), (0, 255, 0)))


def run(source: Path, out: Path, classes: ClassSet, form: Form, **more: bool) -> list[Converted]:
    return list(convert(plan_conversion(source, out), classes, form, **more))


@st.composite
def masks(draw: st.DrawFn) -> tuple[ClassSet, Mask]:
    """A preset, or the plain set, and any mask of it that colours can tell."""
    classes = with_ignore_colour(draw(st.sampled_from([*PRESETS.values(), PLAIN])))
    ids = [*range(len(classes))]
    if classes.ignore_colour is not None:
        ids.append(classes.ignore_index)
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    some = draw(st.lists(st.sampled_from(ids), min_size=1, max_size=144))
    return classes, np.resize(np.array(some, dtype=np.uint8), shape)


@given(mask_of_set=masks(), form=st.sampled_from(["ids", "palette"]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_encoding_and_decoding_lose_nothing(
    tmp_path: Path, mask_of_set: tuple[ClassSet, Mask], form: Form
) -> None:
    classes, ids = mask_of_set
    first, second, third = (tmp_path / f"{name}.png" for name in ("first", "second", "third"))
    # Colours first: decoding and encoding gives the same pixels.
    Image.fromarray(encode_colours(ids, classes)).save(first)
    _ = run(first, second, classes, form), run(second, third, classes, "colours")
    with Image.open(second) as image:
        assert image.mode == ("L" if form == "ids" else "P")
        assert np.array_equal(np.asarray(image), ids)
    with Image.open(third) as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), encode_colours(ids, classes))
    # And ids first.
    Image.fromarray(ids).save(first)
    _ = run(first, second, classes, "colours"), run(second, third, classes, form)
    with Image.open(third) as image:
        assert np.array_equal(np.asarray(image), ids)


@pytest.mark.parametrize("classes", PRESETS.values(), ids=PRESETS)
def test_any_kind_of_mask_is_decoded(tmp_path: Path, classes: ClassSet) -> None:
    ids = np.resize(np.arange(len(classes), dtype=np.uint8), (9, 11))
    folder = tmp_path / "in"
    (folder / "deep" / "er").mkdir(parents=True)
    Image.fromarray(ids).save(folder / "grey.tif")
    Image.fromarray(encode_colours(ids, classes)).save(folder / "deep" / "colours.bmp")
    write_mask(folder / "deep" / "er" / "palette.PNG", ids, classes)
    (folder / "notes.txt").touch()
    (folder / ".hidden.png").touch()
    done = run(folder, tmp_path / "out", classes, "ids")
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (one.target for one in done)}
    assert names == {"grey.png", "deep/colours.png", "deep/er/palette.png"}
    for one in done:
        assert (one.error, one.pixels, one.ignored) == (None, 99, 0)
        assert np.array_equal(np.asarray(Image.open(one.target)), ids)


def test_images_beside_their_masks_are_ignored(tmp_path: Path, landcover: Path) -> None:
    done = run(landcover, tmp_path / "out", LAND, "ids")
    assert len(done) == 16
    assert all(one.target.name.endswith("_mask.png") and one.error is None for one in done)


def test_lossy_masks_are_binarised_on_request(tmp_path: Path) -> None:
    ids = np.resize(np.arange(7, dtype=np.uint8), (8, 9))
    colours = encode_colours(ids, LAND)
    Image.fromarray(np.where(colours, colours - 90, 60).astype(np.uint8)).save(tmp_path / "a.bmp")
    (plain,) = run(tmp_path / "a.bmp", tmp_path / "out", LAND, "ids")
    assert plain.error is not None
    assert "is not in the class set" in plain.error.message
    assert not plain.target.exists()
    (binarised,) = run(tmp_path / "a.bmp", tmp_path / "out", LAND, "ids", binarise=True)
    assert binarised.error is None
    assert np.array_equal(read_mask(binarised.target, LAND), ids)


# -- the ignore id -------------------------------------------------------------------------------


def test_black_means_the_ignore_id_where_no_class_is_black(tmp_path: Path) -> None:
    known = with_ignore_colour(PLAIN)
    ids = np.array([[0, 1, 255, 255]], dtype=np.uint8)
    Image.fromarray(ids).save(tmp_path / "a.png")
    (done,) = run(tmp_path / "a.png", tmp_path / "b.png", known, "colours")
    assert done.ignored == 2
    assert np.asarray(Image.open(done.target))[0, 2:].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_the_ignore_id_is_refused_where_black_is_a_class(tmp_path: Path) -> None:
    known = with_ignore_colour(LAND)
    assert known is LAND
    ids = np.array([[0, 1, 255, 255]], dtype=np.uint8)
    Image.fromarray(ids).save(tmp_path / "a.png")
    (done,) = run(tmp_path / "a.png", tmp_path / "b.png", known, "colours")
    assert done.error is not None
    assert done.error.message == (
        f"{tmp_path / 'a.png'}: 2 of 4 pixels have the ignore id 255, for which 'landcover7' has "
        "no colour, since black is the colour of a class"
    )
    assert "ignore_colour" in done.error.hint
    assert not done.target.exists()
    # With an own colour it works, and ids need no colour.
    own = replace(LAND, ignore_colour=(1, 2, 3))
    assert run(tmp_path / "a.png", tmp_path / "b.png", own, "colours")[0].error is None
    assert run(tmp_path / "a.png", tmp_path / "c.png", known, "ids")[0].error is None


def test_a_bad_mask_is_named_with_value_and_number_and_the_others_go_on(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name, value in (("a", 0), ("b", 99), ("c", 3)):
        Image.fromarray(np.full((4, 5), value, np.uint8)).save(folder / f"{name}.png")
    (folder / "d.png").write_bytes(b"no image")
    done = run(folder, tmp_path / "out", CAMVID, "colours")
    assert [one.error is None for one in done] == [True, False, True, False]
    assert "b.png: class id 99 is not in 'camvid11'" in str(done[1].error)
    assert "20 pixels" in str(done[1].error)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "c.png"}


# -- where it goes -------------------------------------------------------------------------------


def test_a_single_file_is_written_to_a_name_or_a_folder(tmp_path: Path) -> None:
    source = tmp_path / "a.bmp"
    source.touch()
    (tmp_path / "there.png").mkdir()
    for out, target in (("b.png", "b.png"), ("new", "new/a.png"), ("there.png", "there.png/a.png")):
        assert plan_conversion(source, tmp_path / out) == {source: tmp_path / target}


@pytest.mark.parametrize("out", ["in", "in/out", "in/../in/x", "out.png", "out.jpg"])
def test_a_folder_of_masks_needs_a_separate_output_folder(tmp_path: Path, out: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").touch()
    with pytest.raises(UsageError, match=r"is inside the input folder|need a folder"):
        plan_conversion(tmp_path / "in", tmp_path / out)


def test_no_input_is_overwritten_by_whatever_name(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(b"mine")
    os.link(source, tmp_path / "link.png")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").symlink_to(source)
    for given_in, out in (
        (source, source),
        (source, tmp_path),
        (source, tmp_path / "link.png"),
        (tmp_path / "in", tmp_path),
    ):
        with pytest.raises(UsageError, match="would overwrite a mask that is read"):
            plan_conversion(given_in, out)
    assert source.read_bytes() == b"mine"


def test_a_missing_source_and_wrong_targets_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        plan_conversion(tmp_path / "none", tmp_path / "out")
    (tmp_path / "in").mkdir()
    with pytest.raises(DataError, match="holds no mask"):
        plan_conversion(tmp_path / "in", tmp_path / "out")
    for name in ("a.png", "a.tif"):
        (tmp_path / "in" / name).touch()
    with pytest.raises(UsageError, match=r"a\.png and .*a\.tif would both become"):
        plan_conversion(tmp_path / "in", tmp_path / "out")
    with pytest.raises(UsageError, match=r"does not end in \.png"):
        plan_conversion(tmp_path / "in" / "a.png", tmp_path / "out.jpg")
