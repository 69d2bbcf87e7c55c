"""Decoding to RGB, sizes from headers, stretching, and reading ahead in order."""

from __future__ import annotations

import io
import struct
import threading
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from dlcvcli.data.reading import (
    FORMATS,
    decode_rgb,
    image_size,
    is_image,
    read_ahead,
    read_bytes,
    read_rgb,
    stretch,
)
from dlcvcli.errors import DataError

ORIENTATION = 0x0112


def _noise(height: int = 20, width: int = 33, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def _encoded(image: Image.Image, form: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, form, **options)
    return content.getvalue()


# -- decoding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *[("a.jpg", True), ("a.JPEG", True), ("a.tif", True), ("a.webp", True), ("a.ppm", True)],
        *[
            ("._a.jpg", False),
            ("a.txt", False),
            ("a", False),
            (".png", False),
            ("a.png.bak", False),
        ],
    ],
)
def test_an_image_is_known_by_its_name(name: str, known: bool) -> None:
    assert is_image(Path("folder") / name) is known


def test_rgb_is_decoded_unchanged() -> None:
    pixels = _noise()
    got = decode_rgb(_encoded(Image.fromarray(pixels), "PNG"), Path("a.png"))
    assert got.dtype == np.uint8
    assert np.array_equal(got, pixels)


@pytest.mark.parametrize(
    ("mode", "form"),
    [("L", "PNG"), ("LA", "PNG"), ("RGBA", "PNG"), ("P", "PNG"), ("1", "PNG"), ("CMYK", "TIFF")],
)
def test_every_eight_bit_mode_becomes_rgb(mode: str, form: str) -> None:
    image = Image.fromarray(_noise()).convert(mode)
    got = decode_rgb(_encoded(image, form), Path("a"))
    assert got.shape == (20, 33, 3)
    assert np.array_equal(got, np.asarray(image.convert("RGB")))


def test_grey_has_three_equal_channels() -> None:
    grey = _noise()[..., 0]
    got = decode_rgb(_encoded(Image.fromarray(grey), "PNG"), Path("a.png"))
    assert np.array_equal(got, np.stack([grey] * 3, axis=-1))


def _deep_png(channels: int) -> bytes:
    """Return a PNG of 3 x 4 pixels of 16 bits a channel; Pillow writes only those that are grey."""
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = (b"\0" + b"\x01\x2c" * channels * 4) * 3
    parts = [b"\x89PNG\r\n\x1a\n"]
    header = struct.pack(">IIBBBBB", 4, 3, 16, colour_type, 0, 0, 0)
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        checksum = struct.pack(">I", zlib.crc32(kind + content))
        parts += [struct.pack(">I", len(content)), kind, content, checksum]
    return b"".join(parts)


def _deep_tiff(channels: int) -> bytes:
    """Return an uncompressed TIFF of 3 x 4 pixels of 16 bits a channel."""
    pixels = struct.pack("<H", 300) * (channels * 12)
    bits = struct.pack(f"<{channels}H", *[16] * channels)
    entries = [
        *((256, 4, 1, 4), (257, 4, 1, 3), (258, 3, channels, 8 + len(pixels)), (259, 3, 1, 1)),
        *((262, 3, 1, 2), (273, 4, 1, 8), (277, 3, 1, channels), (278, 4, 1, 3)),
        (279, 4, 1, len(pixels)),
    ]
    table = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    start = 8 + len(pixels) + len(bits)
    return (
        struct.pack("<2sHI", b"II", 42, start)
        + pixels
        + bits
        + struct.pack("<H", len(entries))
        + table
        + bytes(4)
    )


_DEEP = {
    **{f"PNG of {n} channels": _deep_png(n) for n in (1, 2, 3, 4)},
    **{f"TIFF of {n} channels": _deep_tiff(n) for n in (3, 4)},
    "int32 TIFF": _encoded(Image.fromarray(np.full((3, 4), 300, np.int32)), "TIFF"),
    "float32 TIFF": _encoded(Image.fromarray(np.full((3, 4), 300, np.float32)), "TIFF"),
    "PPM of 16 bits": b"P6 4 3 65535\n" + b"\x01\x2c" * 36,
    "PPM of 12 bits": b"P6 4 3 4095\n" + b"\x01\x2c" * 36,
    "PPM in plain text": b"P3 4 3 65535\n" + b"300 " * 36,
    "grey PPM": b"P5 4 3 65535\n" + b"\x01\x2c" * 12,
}


@pytest.mark.parametrize("content", _DEEP.values(), ids=_DEEP)
def test_more_than_eight_bits_are_refused_and_not_clipped(content: bytes) -> None:
    # Pillow keeps the upper 8 bits of some of these: 300 of 65535 would become 1.
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert image.size == (4, 3)
    with pytest.raises(DataError, match=r"deep\.png has more than 8 bits per channel") as caught:
        decode_rgb(content, Path("deep.png"))
    assert caught.value.hint


@pytest.mark.parametrize("largest", [255, 15])
def test_a_ppm_of_at_most_eight_bits_is_read(largest: int) -> None:
    content = b"P6 4 3 %d\n" % largest + bytes([largest]) * 36
    assert (decode_rgb(content, Path("a.ppm")) == 255).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_incomplete_file_is_a_user_error_with_its_name(form: str) -> None:
    content = _encoded(Image.fromarray(_noise(90, 90)), form)
    with pytest.raises(DataError, match=r"^set/a\.img ") as caught:
        decode_rgb(content[: len(content) // 2], Path("set/a.img"))
    assert "\n" not in caught.value.message


def test_a_truncated_jpeg_is_called_damaged() -> None:
    content = _encoded(Image.fromarray(_noise(90, 90)), "JPEG")
    with pytest.raises(DataError, match=r"a\.jpg cannot be decoded: .*truncated") as caught:
        decode_rgb(content[:-2000], Path("a.jpg"))
    assert caught.value.hint == "the file is damaged: replace or remove it"


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    for read in (read_rgb, image_size):
        with pytest.raises(DataError, match=r"a\.jpg"):
            read(path)


_OTHERS = {
    form: _encoded(Image.fromarray(_noise()), form) for form in ("GIF", "EPS", "TGA", "PCX", "ICO")
}
_OTHERS["AVIF"] = b"\0\0\0\x20ftypavif" + bytes(80)


@pytest.mark.parametrize("content", _OTHERS.values(), ids=_OTHERS)
def test_only_the_documented_formats_are_opened(tmp_path: Path, content: bytes) -> None:
    # By the content, whatever the name says. For EPS Pillow would start Ghostscript.
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for read in (read_rgb, image_size):
        with pytest.raises(
            DataError, match=r"a\.png is not an image .*\(JPEG, PNG, BMP, PPM, TIFF"
        ):
            read(path)


@pytest.mark.parametrize("form", FORMATS)
def test_every_documented_format_is_opened(tmp_path: Path, form: str) -> None:
    path = tmp_path / "a"
    path.write_bytes(_encoded(Image.fromarray(_noise()), form))
    assert image_size(path) == read_rgb(path).shape[:2] == (20, 33)


def test_an_image_of_too_many_pixels_is_called_that(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6 40000 30000 255\n")
    for read in (read_rgb, image_size):
        with pytest.raises(DataError, match=r"a\.ppm has 40000 x 30000 pixels; at most 1,000,000,"):
            read(path)


@pytest.mark.parametrize("place", ["load", "convert"])
def test_an_image_for_which_memory_does_not_suffice_is_named(
    monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def fail(*_: object) -> NoReturn:
        raise MemoryError

    content = _encoded(Image.fromarray(_noise()).convert("L"), "PNG")
    monkeypatch.setattr(PngImageFile if place == "load" else Image.Image, place, fail)
    with pytest.raises(DataError, match=r"^not enough memory to decode set/a\.png$"):
        decode_rgb(content, Path("set/a.png"))


@pytest.mark.parametrize(
    "raised", [RuntimeError("no\nframe"), KeyError(3), EOFError(), zlib.error()]
)
def test_whatever_a_decoder_raises_names_the_file(
    monkeypatch: pytest.MonkeyPatch, raised: Exception
) -> None:
    def fail(*_: object) -> NoReturn:
        raise raised

    monkeypatch.setattr(PngImageFile, "load", fail)
    with pytest.raises(DataError, match=r"^set/a\.png cannot be decoded: [^\n]+$"):
        decode_rgb(_encoded(Image.fromarray(_noise()), "PNG"), Path("set/a.png"))


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*gone\.jpg: No such file"):
        read_rgb(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match=r"gone\.jpg"):
        image_size(tmp_path / "gone.jpg")
    with pytest.raises(DataError, match="Is a directory"):
        read_bytes(tmp_path)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "PPM"]),
    st.lists(st.tuples(st.integers(0, 399), st.integers(0, 255)), max_size=4),
    st.one_of(st.none(), st.integers(0, 1000)),
)
def test_damaged_bytes_are_a_data_error_or_decode(
    tmp_path_factory: pytest.TempPathFactory,
    form: str,
    flips: list[tuple[int, int]],
    end: int | None,
) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    options = {"exif": exif} if form in {"JPEG", "PNG", "WEBP"} else {}
    content = bytearray(_encoded(Image.fromarray(_noise(9, 13)), form, **options))
    for place, value in flips:
        content[place % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.img"
    path.write_bytes(content[:end])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow says that the EXIF data is damaged
        for read in (read_rgb, image_size):
            try:
                problem = str(path) if read(path) is not None else ""
            except DataError as error:
                problem = error.message
            assert str(path) in problem


def test_damaged_exif_leaves_the_image_readable() -> None:
    # The kind of a tag's value is not what its number promises.
    content = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0"
    got = decode_rgb(_encoded(Image.fromarray(_noise()), "JPEG", exif=content), Path("a.jpg"))
    assert got.shape == (20, 33, 3)


# -- orientation ---------------------------------------------------------------------------------


def _turned(folder: Path, form: str, orientation: int) -> Path:
    """Write noise with an orientation; many telephones save an MPO under the name of a JPEG."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image = Image.fromarray(_noise())
    options = {"save_all": True, "append_images": [image]} if form == "MPO" else {}
    path = folder / f"{orientation}.{'jpg' if form == 'MPO' else form.lower()}"
    image.save(path, form, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
def test_the_size_from_the_header_is_that_of_the_pixels(
    tmp_path: Path, form: str, orientation: int
) -> None:
    path = _turned(tmp_path, form, orientation)
    wanted = (33, 20) if orientation >= 5 else (20, 33)
    assert image_size(path) == read_rgb(path).shape[:2] == wanted


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF"])
def test_pixels_are_rotated_by_the_exif_orientation(
    tmp_path: Path, form: str, orientation: int
) -> None:
    path = _turned(tmp_path, form, orientation)
    with Image.open(path) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert np.array_equal(read_rgb(path), wanted)


def test_what_orientation_6_means(tmp_path: Path) -> None:
    # Stored lying on its left side: the first row of the scene is the first column, rotated right.
    pixels = _noise()
    assert np.array_equal(read_rgb(_turned(tmp_path, "PNG", 6)), np.rot90(pixels, -1))


def test_an_invalid_orientation_rotates_nothing(tmp_path: Path) -> None:
    path = _turned(tmp_path, "PNG", 9)
    assert image_size(path) == read_rgb(path).shape[:2] == (20, 33)


# -- stretching ----------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(*[st.integers(1, 40)] * 4)
def test_stretching_equals_pillow(height: int, width: int, to_height: int, to_width: int) -> None:
    pixels = _noise(height, width)
    wanted = Image.fromarray(pixels).resize((to_width, to_height), Image.Resampling.BILINEAR)
    got = stretch(pixels, (to_height, to_width))
    assert got.shape == (to_height, to_width, 3)
    assert np.array_equal(got, np.asarray(wanted))


def test_stretching_to_its_own_size_changes_nothing() -> None:
    pixels = _noise()
    assert stretch(pixels, (20, 33)) is pixels


# -- reading ahead -------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_results_are_in_the_order_of_the_items(threads: int) -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.01 if item == 0 else 0)
        return item * item

    got = list(read_ahead(slow_first, range(20), threads=threads, ahead=3))
    assert got == [item * item for item in range(20)]
    assert list(read_ahead(slow_first, [], threads=threads, ahead=3)) == []


@pytest.mark.parametrize(("threads", "ahead"), [(1, 0), (2, 1), (4, 3), (3, 10)])
def test_the_number_of_items_in_flight_is_limited(threads: int, ahead: int) -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(30):
            taken = item + 1
            yield item

    for used, _ in enumerate(read_ahead(lambda item: item, items(), threads=threads, ahead=ahead)):
        assert taken - used <= ahead + 1


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_an_error_is_raised_at_its_item(threads: int) -> None:
    def read(item: int) -> int:
        if item == 5:
            raise DataError("item 5 is damaged")
        return item

    results = read_ahead(read, range(100), threads=threads, ahead=8)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match="item 5"):
        next(results)


def test_items_beyond_an_error_are_not_all_read() -> None:
    read: list[int] = []

    def note(item: int) -> int:
        read.append(item)
        raise DataError("damaged")

    with pytest.raises(DataError):
        list(read_ahead(note, range(1000), threads=2, ahead=4))
    assert len(read) <= 5


def test_stopping_early_waits_only_for_started_items() -> None:
    gate = threading.Event()
    started: list[int] = []

    def read(item: int) -> int:
        started.append(item)
        if item:
            gate.wait(10)
        return item

    results = read_ahead(read, iter(range(10**9)), threads=2, ahead=6)
    assert next(results) == 0
    threading.Timer(0.05, gate.set).start()
    start = time.monotonic()
    results.close()
    assert time.monotonic() - start < 5
    # One item a thread may have been under way; the rest of the seven were called off.
    assert len(started) <= 4
    assert not [t for t in threading.enumerate() if t.name.startswith("dlcv-read")]


def test_reading_happens_in_threads() -> None:
    names = read_ahead(lambda _: threading.current_thread().name, range(4), threads=2, ahead=2)
    assert all(name.startswith("dlcv-read") for name in names)


def test_a_satellite_scene_is_not_refused_as_a_decompression_bomb(tmp_path: Path) -> None:
    # Above Pillow's own limit; warnings are errors here.
    path = tmp_path / "scene.png"
    Image.new("1", (10_000, 10_000)).save(path)
    assert image_size(path) == (10_000, 10_000)
