r"""The tables of a study as LaTeX, for `\input` into a document that uses booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dlcvcli.outcomes.table import Table

LATEX_HEAD = "% Needs \\usepackage{booktabs}. dlcv replaces this file with each report.\n"

_ESCAPED = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    # In the default font encoding, these three are other characters.
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # Brackets and asterisks at the begin of a cell would be arguments of the line break before it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "–": "--",
    "±": r"$\pm$",
    "−": "$-$",
    "×": r"$\times$",
    "√": r"$\surd$",
    "²": r"$^2$",
}
_SPECIAL = re.compile("|".join(map(re.escape, _ESCAPED)))
_MINUS = re.compile(r"(?<![\w.-])-(?=\d)")


def latex_table(table: Table, *, caption: str, label: str) -> str:
    """Return a floating `table` in the style of booktabs, with the marked row in bold.

    Args:
        table: its texts are shown as they are.
        caption: plain text.
        label: for `\\ref`.
    """
    columns = "l" * table.words + "r" * (len(table.columns) - table.words)
    rows = [
        _row(map(_bold if number == table.marked else escape_latex, row))
        for number, row in enumerate(table.rows)
    ]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_latex(caption)}}}",
        rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _row(map(escape_latex, table.columns)),
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def escape_latex(text: str) -> str:
    """Return text for one line of LaTeX that is shown as it is; a minus before a digit is one."""
    one_line = _MINUS.sub("−", " ".join(text.split()))
    return _SPECIAL.sub(lambda match: _ESCAPED[match[0]], one_line)


def _bold(text: str) -> str:
    return rf"\textbf{{{escape_latex(text)}}}"


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"
