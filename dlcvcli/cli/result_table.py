"""The result of an evaluation as a table, PyTorch beside ONNX Runtime where both ran."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from dlcvcli.inference.evaluation import ResultTable


def rendered(table: ResultTable, result: dict[str, Any]) -> Group:
    """Return a result for the console.

    Args:
        table: the task's rows.
        result: as `dlcv eval --json` writes it.
    """
    compared = result.get("compare")
    grid = Table()
    grid.add_column("")
    grid.add_column(result["backend"], justify="right")
    torch: dict[str, Any] = {}
    if compared:
        grid.add_column("torch", justify="right")
        torch = {"metrics": compared["torch"], "speed": compared["torch"]["speed"]}
    for section in table.sections:
        for row in section:
            cells = [row.shown(result)]
            if compared:
                cells.append(row.shown(torch) if row.both else "")
            # Names of classes may contain brackets, which rich would take for markup.
            grid.add_row(Text(row.name), *cells)
        grid.add_section()
    notes = list(table.notes)
    if compared:
        notes.append(
            f"{compared['argmax_agreement']:.6f} of all {table.unit} agree; ONNX Runtime is "
            f"{compared['speedup']:.2f} times as fast as PyTorch"
        )
    how = f"{result['backend']}, {result['provider']}, {result['precision']}"
    return Group(Text(f"{table.subject}, {how}"), grid, *map(Text, notes))
