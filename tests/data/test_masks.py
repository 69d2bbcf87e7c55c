"""Annotations of every kind become class ids, or are refused with file, value and count."""

from __future__ import annotations

import errno
import io
import itertools
import os
import re
import zlib
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from dlcvcli import files
from dlcvcli.data.masks import decode_mask, read_mask, write_mask
from dlcvcli.errors import DataError, DlcvError
from dlcvcli.palette import PRESETS, ClassSet, Mask, default_colours, encode_colours, palette_table

LAND = PRESETS["landcover7"]
CAMVID = PRESETS["camvid11"]


def _ids(classes: ClassSet, seed: int = 0, shape: tuple[int, int] = (13, 17)) -> Mask:
    """Every class id, and the ignore id where it has a colour."""
    known = [*range(len(classes))]
    if classes.ignore_colour is not None:
        known.append(classes.ignore_index)
    ids = np.resize(np.array(known, dtype=np.uint8), shape)
    return np.random.default_rng(seed).permuted(ids)


def _png(image: Image.Image, form: str = "PNG") -> bytes:
    content = io.BytesIO()
    image.save(content, form)
    return content.getvalue()


def _with_palette(ids: Mask, table: NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(ids)
    image.putpalette(table.tobytes())
    assert image.mode == "P"
    return _png(image)


def _decode(content: bytes, classes: ClassSet, *, binarise: bool = False) -> Mask:
    mask = decode_mask(content, Path("set/7.png"), classes, binarise=binarise)
    assert mask.dtype == np.uint8
    return mask


# -- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", PRESETS.values(), ids=PRESETS)
def test_grey_levels_are_ids(classes: ClassSet) -> None:
    ids = _ids(classes)
    ids[0, 0] = classes.ignore_index
    assert np.array_equal(_decode(_png(Image.fromarray(ids)), classes), ids)


def test_the_alpha_of_a_grey_image_is_not_looked_at() -> None:
    ids = _ids(LAND)
    image = Image.merge("LA", [Image.fromarray(ids), Image.fromarray(ids[::-1])])
    assert np.array_equal(_decode(_png(image), LAND), ids)


def test_black_and_white_is_ids_0_and_1() -> None:
    ids = _ids(LAND) % 2
    image = Image.fromarray(ids * 255).convert("1")
    assert image.mode == "1"
    assert np.array_equal(_decode(_png(image), LAND), ids)


@pytest.mark.parametrize(("dtype", "form"), [("uint16", "PNG"), ("int32", "TIFF"), (">u2", "TIFF")])
def test_deep_ids_are_read_where_they_fit(dtype: str, form: str) -> None:
    ids = _ids(CAMVID)
    image = Image.fromarray(ids.astype(dtype))
    assert image.mode.startswith("I")
    assert np.array_equal(_decode(_png(image, form), CAMVID), ids)


def test_the_class_palette_is_read_as_ids() -> None:
    ids = _ids(CAMVID)
    assert np.array_equal(_decode(_with_palette(ids, palette_table(CAMVID)), CAMVID), ids)


def test_the_ignore_id_needs_no_colour_in_a_palette() -> None:
    ids = _ids(LAND)
    ids[3] = 255
    assert np.array_equal(_decode(_with_palette(ids, palette_table(LAND)), LAND), ids)


@pytest.mark.parametrize("classes", PRESETS.values(), ids=PRESETS)
def test_an_arbitrary_order_of_the_class_colours_is_looked_up(classes: ClassSet) -> None:
    ids = _ids(classes)
    colours = encode_colours(ids, classes)
    # An encoder may number the colours in any order.
    table, order = np.unique(colours.reshape(-1, 3), axis=0, return_inverse=True)
    content = _with_palette(order.reshape(ids.shape).astype(np.uint8), table)
    assert np.array_equal(_decode(content, classes), ids)


def test_colours_in_a_foreign_palette_are_looked_up() -> None:
    ids = _ids(LAND)
    painted = Image.fromarray(encode_colours(ids, LAND))
    for image in (painted.quantize(7), painted.convert("P"), painted.convert("P", colors=7)):
        assert np.array_equal(_decode(_png(image), LAND), ids)


@pytest.mark.parametrize("length", [7, 256])
def test_a_grey_ramp_palette_keeps_the_ids(length: int) -> None:
    # Black is `unknown`, id 6: a look-up of colours would turn id 0 into it.
    ids = _ids(LAND)
    ramp = np.repeat(np.arange(length, dtype=np.uint8)[:, None], 3, axis=1)
    assert np.array_equal(_decode(_with_palette(ids, ramp), LAND), ids)


def test_a_grey_ramp_palette_keeps_the_ids_of_grey_classes() -> None:
    greys = ClassSet("greys", ("light", "middle", "dark"), ((2, 2, 2), (1, 1, 1), (0, 0, 0)))
    ids = _ids(greys)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    assert np.array_equal(_decode(_with_palette(ids, ramp), greys), ids)
    # Three entries are no ramp but the colours of the classes, numbered by another hand.
    assert np.array_equal(_decode(_with_palette(ids, ramp[:3]), greys), 2 - ids)


def test_a_mask_of_one_class_is_read_like_the_others_of_its_set() -> None:
    # In the VOC palette id 0 is black, which is the colour of `unknown`, id 6, in this class set.
    table = np.array(default_colours(256), dtype=np.uint8)
    for ids in (_ids(LAND), np.zeros((4, 5), dtype=np.uint8)):
        assert np.array_equal(_decode(_with_palette(ids, table), LAND), ids)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("classes", PRESETS.values(), ids=PRESETS)
def test_colours_are_looked_up(classes: ClassSet, mode: str) -> None:
    ids = _ids(classes)
    image = Image.fromarray(encode_colours(ids, classes)).convert(mode)
    assert np.array_equal(_decode(_png(image), classes), ids)


def test_binarising_restores_masks_stored_with_loss() -> None:
    ids = _ids(LAND, shape=(32, 40))
    noise = np.random.default_rng(0).integers(-100, 101, (*ids.shape, 3))
    colours = np.clip(encode_colours(ids, LAND).astype(int) + noise, 0, 255).astype(np.uint8)
    content = _png(Image.fromarray(colours))
    assert np.array_equal(_decode(content, LAND, binarise=True), ids)
    with pytest.raises(DataError, match="is not in the class set"):
        _decode(content, LAND)


def test_binarising_rounds_at_128() -> None:
    colours = np.array([[[127, 128, 128], [128, 128, 127]]], dtype=np.uint8)
    assert _decode(_png(Image.fromarray(colours)), LAND, binarise=True).tolist() == [[0, 1]]


def test_the_voc_palette_is_read_by_colour_where_the_classes_choose_among_its_colours() -> None:
    voc = default_colours(256)
    chosen = ClassSet("chosen", ("person", "background"), (voc[15], voc[0]), ignore_colour=voc[255])
    ids = _ids(chosen)
    stored = np.select([ids == 0, ids == 1], [np.uint8(15), np.uint8(0)], np.uint8(255))
    for part in (np.ones_like(ids, dtype=bool), ids == 1):
        content = _with_palette(np.where(part, stored, np.uint8(0)), np.array(voc, np.uint8))
        assert np.array_equal(_decode(content, chosen), np.where(part, ids, np.uint8(1)))


@pytest.mark.parametrize("length", [7, 21, 256])
def test_the_voc_palette_may_be_short_and_filled_up_with_black(length: int) -> None:
    table = np.zeros((256, 3), dtype=np.uint8)
    table[:length] = default_colours(length)
    for ids in (_ids(LAND), np.zeros((4, 5), dtype=np.uint8)):
        assert np.array_equal(_decode(_with_palette(ids, table), LAND), ids)


def test_the_palette_of_a_part_of_the_classes_is_read_as_ids() -> None:
    ids = _ids(LAND) % 3
    ids[0, :2] = 255
    table = np.zeros((256, 3), dtype=np.uint8)
    table[:3] = palette_table(LAND)[:3]
    table[255] = (224, 224, 192)
    assert np.array_equal(_decode(_with_palette(ids, table), LAND), ids)


def test_ids_beyond_the_end_of_a_palette_are_read_as_ids() -> None:
    ids = _ids(LAND)
    table = np.random.default_rng(1).integers(1, 200, (5, 3)).astype(np.uint8)
    assert np.array_equal(_decode(_with_palette(ids, table), LAND), ids)


class_sets = st.lists(
    st.tuples(*[st.sampled_from((0, 1, 2, 64, 128, 200, 255))] * 3),
    min_size=2,
    max_size=20,
    unique=True,
).map(lambda colours: ClassSet("drawn", tuple(map(str, range(len(colours)))), tuple(colours)))


@settings(deadline=None, max_examples=150)
@given(
    class_sets,
    st.integers(0, 2**32 - 1),
    st.sampled_from(["sorted", "as met", *itertools.product((16, 64, 256), range(3))]),
    st.one_of(st.none(), st.tuples(*[st.sampled_from((3, 5, 90))] * 3)),
)
def test_a_palette_of_an_encoder_is_read_like_the_colours_that_it_shows(
    classes: ClassSet, seed: int, encoder: object, strange: tuple[int, int, int] | None
) -> None:
    rng = np.random.default_rng(seed)
    some = rng.choice(len(classes), int(rng.integers(1, len(classes) + 1)))
    colours = encode_colours(rng.choice(some, (9, 11)).astype(np.uint8), classes)
    if strange is not None:
        colours[rng.integers(9), rng.integers(11)] = strange
    if isinstance(encoder, tuple):
        image = Image.fromarray(colours).quantize(*encoder)
    else:
        table, first, order = np.unique(
            colours.reshape(-1, 3), axis=0, return_index=True, return_inverse=True
        )
        if encoder == "as met":
            order, table = np.argsort(np.argsort(first))[order.ravel()], table[np.argsort(first)]
        image = Image.fromarray(order.reshape(9, 11).astype(np.uint8))
        image.putpalette(table.tobytes())
    wanted = _decoded_or_none(image.convert("RGB"), classes)
    got = _decoded_or_none(image, classes)
    assert (got is None) == (wanted is None)
    assert got is None or np.array_equal(got, wanted)


def _decoded_or_none(image: Image.Image, classes: ClassSet) -> Mask | None:
    try:
        return _decode(_png(image), classes)
    except DataError:
        return None


# -- what is refused -----------------------------------------------------------------------------


def test_an_unknown_colour_is_named_with_its_file_and_number() -> None:
    colours = encode_colours(_ids(LAND, shape=(20, 60)), LAND)
    colours[2, :7] = (1, 2, 3)
    with pytest.raises(DataError) as caught:
        _decode(_png(Image.fromarray(colours)), LAND)
    assert caught.value.message == (
        "set/7.png: colour (1, 2, 3) is not in the class set 'landcover7'; 7 of 1,200 pixels"
    )
    assert "data.binarise=true" in caught.value.hint


def test_many_unknown_colours_are_counted() -> None:
    colours = np.zeros((1, 9, 3), dtype=np.uint8)
    colours[0, :5, 0] = [1, 2, 3, 4, 5]
    with pytest.raises(DataError, match=r"\(3, 0, 0\) and 2 more is not .* 5 of 9 pixels"):
        _decode(_png(Image.fromarray(colours)), LAND)


def _with_one_strange_pixel() -> Mask:
    colours = encode_colours(_ids(LAND, shape=(20, 60)), LAND)
    colours[2, 7] = (1, 2, 3)
    return colours


def test_a_palette_with_an_unknown_colour_is_refused() -> None:
    # Pillow numbers the colours in an order of its own: as ids the classes would change places.
    image = Image.fromarray(_with_one_strange_pixel()).quantize(16)
    assert image.mode == "P"
    with pytest.raises(DataError) as caught:
        _decode(_png(image), LAND)
    assert caught.value.message == (
        "set/7.png: colour (1, 2, 3) is not in the class set 'landcover7'; 1 of 1,200 pixels"
    )
    assert "8-bit grey" in caught.value.hint


def test_binarising_reaches_the_colours_of_a_palette() -> None:
    colours = _with_one_strange_pixel()
    wanted = _decode(_png(Image.fromarray(colours)), LAND, binarise=True)
    got = _decode(_png(Image.fromarray(colours).quantize(16)), LAND, binarise=True)
    assert np.array_equal(got, wanted)


def test_a_palette_of_foreign_colours_is_refused() -> None:
    # Ids in colours of their own, or colours that were changed: nothing tells which.
    table = np.random.default_rng(1).integers(1, 200, (256, 3)).astype(np.uint8)
    with pytest.raises(DataError, match=r"and 4 more is not in the class set .* 221 of 221 pixels"):
        _decode(_with_palette(_ids(LAND), table), LAND)


def test_a_palette_in_which_two_ids_share_a_colour_is_refused() -> None:
    table = np.zeros((256, 3), dtype=np.uint8)
    table[:3] = palette_table(LAND)[:3]
    with pytest.raises(DataError, match=r"entries 3, 4, 5, 6 share the colour \(0, 0, 0\)"):
        _decode(_with_palette(_ids(LAND), table), LAND)


@pytest.mark.parametrize("kind", ["L", "P"])
def test_an_unknown_id_is_named_with_its_file_and_number(kind: str) -> None:
    ids = _ids(LAND)
    ids[1, :4] = 9
    content = _png(Image.fromarray(ids))
    if kind == "P":
        content = _with_palette(ids, palette_table(LAND))
    with pytest.raises(DataError) as caught:
        _decode(content, LAND)
    assert caught.value.message == (
        "set/7.png: class id 9 is not in 'landcover7' (ids 0..6, ignore 255); 4 pixels"
    )


def test_deep_ids_beyond_a_byte_are_refused_and_not_wrapped() -> None:
    ids = _ids(LAND).astype(np.uint16)
    ids[0, 0] = 256
    with pytest.raises(DataError, match=r"set/7\.png holds ids from 0 to 256"):
        _decode(_png(Image.fromarray(ids)), LAND)
    with pytest.raises(DataError, match="holds ids from -1 to 6"):
        _decode(_png(Image.fromarray(np.where(ids > 6, -1, ids.astype(np.int32))), "TIFF"), LAND)


def test_a_truncated_file_is_a_user_error_with_its_name() -> None:
    content = _png(Image.fromarray(_ids(LAND, shape=(90, 90))))
    with pytest.raises(DataError, match=r"set/7\.png cannot be decoded") as caught:
        _decode(content[: len(content) // 2], LAND)
    assert "\n" not in caught.value.message
    with pytest.raises(DataError, match=r"set/7\.png is not an image"):
        _decode(b"", LAND)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.png"
    with pytest.raises(DataError, match=re.escape(f"cannot read {path}: No such file")):
        read_mask(path, LAND)


# -- writing -------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([*PRESETS.values()]),
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_a_written_mask_reads_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    classes: ClassSet,
    seed: int,
    shape: tuple[int, int],
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.png"
    # A handful of ids only, as in real tiles: the palette is judged by the ids in use.
    rng = np.random.default_rng(seed)
    some = rng.choice([*range(len(classes)), classes.ignore_index], int(rng.integers(1, 4)))
    mask = rng.choice(some, shape).astype(np.uint8)
    write_mask(path, mask, classes)
    assert np.array_equal(read_mask(path, classes), mask)


def test_a_written_mask_is_a_palette_png_in_the_class_colours(tmp_path: Path) -> None:
    ids = _ids(CAMVID)
    write_mask(tmp_path / "a.png", ids, CAMVID)
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.mode) == ("PNG", "P")
        assert np.array_equal(np.asarray(image.convert("RGB")), encode_colours(ids, CAMVID))


def test_a_full_disk_leaves_no_incomplete_mask_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(DlcvError, match=r"cannot write .*a\.png: No space left on device"):
        write_mask(tmp_path / "a.png", _ids(LAND), LAND)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["F", "LAB", "CMYK"])
def test_an_image_that_is_no_mask_is_refused(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "mask.tif"
    Image.new(mode, (4, 4)).save(path)
    with pytest.raises(DataError, match=f"not a mask: its pixels have the mode {mode}"):
        read_mask(path, PRESETS["landcover7"])


def _png_of_bits(values: list[int], bits: int) -> bytes:
    """Return a grey PNG of one row, with fewer bits a pixel than Pillow writes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + checksum

    packed = int("".join(f"{value:0{bits}b}" for value in values), 2)
    row = b"\0" + packed.to_bytes(len(values) * bits // 8, "big")
    header = len(values).to_bytes(4, "big") + (1).to_bytes(4, "big") + bytes([bits, 0, 0, 0, 0])
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize(
    "content",
    [
        # Pillow makes 0 and 255 of the first: class 0 and, for most class sets, the ignore id.
        _png_of_bits([0, 3, 3, 0], 2),
        _png_of_bits([0, 1, 2, 3], 4),
        b"P5 4 1 3\n" + bytes([0, 3, 3, 0]),
    ],
)
def test_a_grey_mask_of_fewer_than_8_bits_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="fewer than 8 bits per pixel") as caught:
        decode_mask(content, Path("mask.png"), PRESETS["voc21"])
    assert "8-bit grey" in caught.value.hint


def test_palette_masks_of_few_bits_hold_ids() -> None:
    mask = np.array([[0, 1, 2, 3]], np.uint8)
    image = Image.fromarray(mask, "P")
    image.putpalette(palette_table(PRESETS["voc21"])[:4].tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", bits=2)
    assert np.array_equal(decode_mask(file.getvalue(), Path("m.png"), PRESETS["voc21"]), mask)
