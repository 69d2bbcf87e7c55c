"""Text of users in the Markdown tables of a study."""

from __future__ import annotations

import html
import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dlcvcli.studies.table import escape_markdown

_RENDERER = MarkdownIt("commonmark").enable("table").enable("strikethrough")


@given(
    text=st.text(st.characters(exclude_categories=("C", "Zs", "Zl", "Zp"), include_characters=" "))
)
@example("<script>alert(1)</script>")
@example("a|b\\|c `code` **bold** __init__ my_class ~~no~~")
@example("[a](https://b.example) ![c](d.png) &lt; &amp; \\")
def test_any_name_is_shown_unchanged(text: str) -> None:
    cell = escape_markdown(f"x {text} x")
    page = _RENDERER.render(f"| class |\n| :--- |\n| {cell} |\n")
    (shown,) = re.findall(r"<td[^>]*>(.*?)</td>", page, re.DOTALL)
    assert "<" not in shown
    assert html.unescape(shown) == " ".join(f"x {text} x".split())


def test_a_line_break_ends_neither_row_nor_title() -> None:
    assert escape_markdown("a\n\n# b\r\n| c") == "a # b \\| c"
    assert escape_markdown("deeplabv3plus_resnet50") == "deeplabv3plus_resnet50"
