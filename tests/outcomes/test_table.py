"""A part of a table keeps its first column, and optionally the best row."""

from __future__ import annotations

from dlcvcli.outcomes.table import Table


def test_a_table_of_some_columns() -> None:
    table = Table("all", ("run", "model", "mIoU"), (("a", "fcn", "1"), ("b", "fcn", "2")), 2, 1)
    part = table.only("scores", ["mIoU"])
    assert part == Table("scores", ("run", "mIoU"), (("a", "1"), ("b", "2")), words=1)
    assert table.only("", ["mIoU", "model"], marked=True).marked == 1
    assert table.only("", ["mIoU", "model"]).words == 2
