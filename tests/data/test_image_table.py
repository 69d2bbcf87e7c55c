"""CSV files of images: one file, one label, one split."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcvcli.data.image_table import read_image_tables
from dlcvcli.errors import DataError


def written(root: Path, **tables: str) -> Path:
    """Write CSV files beside six empty images; a table alone says what its images are called."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    for name in "abcdef":
        (root / "images" / f"{name}.png").touch()
    for name, text in tables.items():
        (root / f"{name}.csv").write_text(text)
    return root


def labels(root: Path, split: str = "train") -> dict[str, str]:
    return {row.file.name: row.label for row in read_image_tables(root).splits[split]}


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spaces_make_no_other_class_and_separators_no_difference(
    tmp_path: Path, separator: str
) -> None:
    text = "filename,label\na.png,c0\nb.png, c0\nc.png,c1 \n".replace(",", separator)
    assert labels(written(tmp_path, train=text)) == {"a.png": "c0", "b.png": "c0", "c.png": "c1"}


@pytest.mark.parametrize("other", ["a.png", "./a.png", "../images/a.png", "x/../a.png"])
def test_an_image_has_one_label_however_it_is_spelled(tmp_path: Path, other: str) -> None:
    root = written(tmp_path, train=f"filename,label\na.png,c0\n{other},c1\n")
    message = (
        r"a\.png has the label 'c0' \(train\.csv, line 2\) and the label 'c1' \(train\.csv, line 3"
    )
    with pytest.raises(DataError, match=message):
        read_image_tables(root)
    written(tmp_path, train=f"filename,label\na.png,c0\n{other},c0\n")
    with pytest.raises(DataError, match=r"line 3 names .*a\.png a second time"):
        read_image_tables(root)
    written(tmp_path, train="filename,label\na.png,c0\n", test=f"file,class\n{other},c1\n")
    with pytest.raises(DataError, match=r"the label 'c1' \(train\.csv|the label 'c0' \(train\.csv"):
        read_image_tables(root)


@pytest.mark.parametrize(("first", "second"), [("val", "validation"), ("train", "training")])
def test_two_files_of_one_split_are_refused(tmp_path: Path, first: str, second: str) -> None:
    tables = {first: "file,label\na.png,c0\n", second: "file,label\nb.png,c1\n"}
    with pytest.raises(DataError, match=rf"twice, in {first}\.csv and {second}\.csv"):
        read_image_tables(written(tmp_path, **tables))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png;c0\nb.png;c1\n", "its first line is 'a.png', 'c0'"),
        ("filename label\na.png c0\n", "its first line is 'filename label'"),
        ("", "its first line is nothing"),
        ("filename,label\n", r"val\.csv names no image"),
        ("filename,label\na.png\n", "line 2 lacks the label: it holds 'a.png'"),
        ("filename,label\na.png,c0,c1\n", "line 2 has 3 fields, but the header has 2"),
    ],
)
def test_a_split_that_cannot_be_used_is_named_also_beside_one_that_can(
    tmp_path: Path, text: str, message: str
) -> None:
    root = written(tmp_path, train="filename,label\nd.png,c0\n", val=text)
    with pytest.raises(DataError, match=message):
        read_image_tables(root)


def test_other_csv_files_in_the_folder_are_ignored(tmp_path: Path) -> None:
    root = written(tmp_path, train="filename,label\na.png,c0\n", notes="x,y\n1,2,3\n")
    (root / "more.csv").write_bytes(b"\xe9\xff")
    written(root, test="id,filename\n0,b.png\n")
    tables = read_image_tables(root)
    assert list(tables.splits) == ["train"]
    assert [path.name for path in tables.unlabelled] == ["test.csv"]
    assert len(tables.problems) == 2


def test_the_office_set_of_the_ntu_dlcv_course_is_read_as_shipped(tmp_path: Path) -> None:
    # Numbers of classes in one CSV, names in the other; ids are numbers of lines.
    tables = {"train": [("Bed00050.jpg", "0"), ("Fork00001.jpg", "12")], "val": [("x.jpg", "Bed")]}
    for split, rows in tables.items():
        (tmp_path / split).mkdir()
        lines = [f"{place},{name},{label}" for place, (name, label) in enumerate(rows)]
        (tmp_path / f"{split}.csv").write_text("\n".join(["id,filename,label", *lines]))
        for name, _ in rows:
            (tmp_path / split / name).touch()
    read = read_image_tables(tmp_path)
    assert (list(read.splits), read.problems) == (["train", "val"], ())
    assert labels(tmp_path) == {"Bed00050.jpg": "0", "Fork00001.jpg": "12"}
    (row,) = read.splits["val"]
    assert (row.id, row.file, row.label) == ("0", tmp_path / "val" / "x.jpg", "Bed")
