"""LaTeX tables show every text as it is, with the best row in bold."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from dlcvcli.outcomes.table import Table
from dlcvcli.studies.latex import _ESCAPED, escape_latex, latex_table

_TEXT = st.text(
    st.characters(exclude_categories=("C", "Zs", "Zl", "Zp"), include_characters=" "), max_size=30
)


def _shown(latex: str) -> str:
    """Return the text that LaTeX typesets; every command and group has to be known."""
    known = {command: character for character, command in _ESCAPED.items()}
    pattern = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    left = re.sub(pattern, "", latex)
    assert not re.search(r"[\\{}&%$#_~^<>|\[\]*]", left)
    return re.sub(pattern, lambda match: known[match[0]], latex)


@given(_TEXT)
@example(r"100 % of \cite{x} & $a_1^2$ #~")
@example("[0.1, 0.2]* <b> a|b")
@example("-0.1 ± 0.2, 3-way, x-1, – 0.5")
def test_any_name_is_typeset_unchanged(text: str) -> None:
    expected = " ".join(text.split())
    assert _shown(escape_latex(text)).replace("−", "-") == expected.replace("−", "-")


def test_a_negative_number_has_a_minus_and_a_name_keeps_its_hyphen() -> None:
    assert escape_latex("-0.25 [-0.3, -0.2]") == "$-$0.25 {[}$-$0.3, $-$0.2{]}"
    assert escape_latex("top-1 of study-2") == "top-1 of study-2"


def test_a_table_has_the_rules_of_booktabs_and_its_best_row_in_bold() -> None:
    table = Table("", ("run", "top-1"), (("A_1", "0.5 ± 0.1"), ("B", "–")), words=1, marked=0)
    lines = latex_table(table, caption="50 % of it", label="tab:x").splitlines()
    assert lines == [
        r"\begin{table}",
        r"\centering",
        r"\caption{50 \% of it}",
        r"\label{tab:x}",
        r"\begin{tabular}{lr}",
        r"\toprule",
        r"run & top-1 \\",
        r"\midrule",
        r"\textbf{A\_1} & \textbf{0.5 $\pm$ 0.1} \\",
        r"B & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
