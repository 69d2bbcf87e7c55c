"""CSV files as spreadsheets and people write them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.data.csv_tables import csv_files, read_csv
from dlcvcli.errors import DataError

FIELDS = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=8).map(str.strip)


@given(
    rows=st.lists(st.tuples(FIELDS.filter(bool), FIELDS), max_size=5),
    separator=st.sampled_from(",;\t"),
    bom=st.booleans(),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_what_a_spreadsheet_writes_is_read(
    rows: list[tuple[str, str]],
    separator: str,
    bom: bool,
    ending: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, lineterminator=ending)
    writer.writerows([("filename", "label"), *rows])
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(text.getvalue().encode("utf-8-sig" if bom else "utf-8"))
    table = read_csv(path)
    assert table.columns == ("filename", "label")
    values = zip(table.fields(table.column(("filename",))), table.fields(1), strict=True)
    assert list(values) == rows


def test_spaces_and_blank_lines_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('\n File , Label,\n\na.png , "c, 0"\n,,\nb.png\n')
    table = read_csv(path)
    assert table.columns == ("File", "Label", "")
    assert table.column(("filename", "file")) == 0
    assert table.column(("class",)) is None
    assert list(table.fields(1)) == ["c, 0", ""]
    assert [line for line, _ in table.lines] == [4, 6]


def test_only_the_header_of_an_unrelated_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('x,y\n1,2,3\n"')
    assert read_csv(path, (("file",), ("label",))).lines == ()
    with pytest.raises(DataError, match=r"a\.csv, line 2 has 3 fields, but the header has 2"):
        read_csv(path)


@pytest.mark.parametrize("content", [b"\xff\xfea\x00,\x00", b'a,b\n"c', b"a,b\n\xe9,2"])
def test_a_file_that_is_not_csv_is_a_user_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.csv is not CSV"):
        read_csv(path)
    with pytest.raises(DataError, match=r"cannot read the splits in .*none\.csv: No such file"):
        read_csv(tmp_path / "none.csv", what="the splits in")
    path.write_bytes(b"")
    assert read_csv(path).describe_columns() == "nothing"


def test_files_of_any_case_are_found_and_hidden_ones_not(tmp_path: Path) -> None:
    for name in ("b.CSV", "a.csv", "._a.csv", "a.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()
    assert [path.name for path in csv_files(tmp_path)] == ["a.csv", "b.CSV"]
