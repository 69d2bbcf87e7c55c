"""The values that may be reported follow from the scores of a task."""

from __future__ import annotations

from pathlib import Path

from dlcvcli.outcomes.page import Picture, Section
from dlcvcli.outcomes.spec import reported_keys
from dlcvcli.outcomes.table import Table
from dlcvcli.scores import Score


def test_scores_and_their_intervals_may_be_reported() -> None:
    scores = (Score("accuracy", "accuracy", interval="ci95"), Score("miou", "mIoU"))
    assert reported_keys(scores) == ("accuracy", "ci95", "miou")


def test_a_section_without_content_is_empty() -> None:
    table = Table("", ("class",), ())
    assert Section("title", table=table).is_empty
    assert not Section("title", [Picture(Path("a.png"), "alt", "caption")]).is_empty
    assert not Section("title", paragraphs=["text"]).is_empty
    assert not Section("title", table=Table("", ("class",), (("road",),))).is_empty
