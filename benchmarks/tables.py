"""Write the tables of README.md from the results beside it.

    python benchmarks/tables.py

Each benchmark's `--json results/NAME.json` is one table, so no figure is typed by hand.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from common import table

HERE = Path(__file__).parent
BEGIN, END = "<!-- tables: written by tables.py -->", "<!-- end of tables -->"


def _section(name: str, result: dict[str, Any]) -> list[str]:
    options = [f"{key} {value}" for key, value in result["options"].items()]
    return [f"### {name}", "", f"`{result['command']}`: {', '.join(options)}.", "", *table(result)]


def _agree(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two machines agree in every field that both have."""
    ours, theirs = one["versions"], other["versions"]
    return {**one, "versions": {}} == {**other, "versions": {}} and all(
        ours[package] == theirs[package] for package in ours.keys() & theirs.keys()
    )


def _machines(results: dict[str, dict[str, Any]]) -> list[str]:
    """Return one line per machine that something was measured on.

    A package that was installed later, without a change of versions, does not make a new machine.
    """
    machines: list[dict[str, Any]] = []
    for result in results.values():
        new = result["machine"]
        same = next((known for known in machines if _agree(known, new)), None)
        if same is None:
            machines.append({**new, "versions": dict(new["versions"])})
        else:
            same["versions"] |= new["versions"]
    lines = []
    for machine in sorted(machines, key=lambda one: json.dumps(one, sort_keys=True)):
        versions = ", ".join(f"{package} {v}" for package, v in sorted(machine["versions"].items()))
        lines.append(
            f"{machine['processor']}, {machine['cores']} cores, GPU: {machine['gpu'] or 'none'}; "
            f"{machine['system']}, Python {machine['python']}; {versions}."
        )
    return lines


def main() -> None:
    """Replace the text between the two marks in README.md."""
    files = sorted((HERE / "results").glob("*.json"))
    results = {file.stem: json.loads(file.read_text()) for file in files}
    lines = ["\n\n".join(_machines(results))]
    for name, result in results.items():
        lines += ["", *_section(name, result)]
    readme = HERE / "README.md"
    body = "\n".join((BEGIN, "", *lines, "", END))
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    readme.write_text(pattern.sub(lambda match: body, readme.read_text()))


if __name__ == "__main__":
    main()
