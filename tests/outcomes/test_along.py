"""Scores along a setting have a row a line, and are drawn with their deviation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dlcvcli.outcomes.along import along_table, draw_along
from dlcvcli.outcomes.runs import Comparison
from tests.outcomes.test_runs import ERROR, _run


def test_a_row_a_line_and_a_column_a_place(tmp_path: Path) -> None:
    runs = (
        replace(_run("a-1", 0.5, 0.3), line="A", place=100.0),
        replace(_run("a-0.1", 0.6, None), line="A", place=10.0),
        replace(_run("b-1", 0.2, 0.2), line="B", place=100.0),
        replace(_run("b-0.1", None, None), line="B", place=None),
        _run("other", 0.1, 0.1),
    )
    comparison = Comparison("t", (ERROR,), 2, runs, along="number of training images")
    table = along_table(comparison)
    assert table.title == "error along the number of training images"
    assert table.columns == ("run", "10", "100")
    assert table.rows == (("A", "0.6000 ± –", "0.4000 ± 0.1414"), ("B", "–", "0.2000 ± 0.0000"))
    (picture,) = draw_along(comparison, tmp_path)
    assert picture.path.is_file()
    assert "±1 standard deviation" in picture.caption
    assert draw_along(replace(comparison, runs=runs[:1]), tmp_path) == []
