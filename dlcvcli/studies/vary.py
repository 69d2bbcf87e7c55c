"""Cross the runs of a definition with values of one setting. Needs no torch."""

from __future__ import annotations

import copy
from typing import Any

from dlcvcli.errors import ConfigError

STARTS = ("init", "backbone", "supervised_backbone")
"""Keys of a run that name the weights it starts from; flags of `dlcv train`."""


def expand(tree: dict[str, Any], source: str) -> dict[str, Any]:
    """Return a definition without `vary: {KEY: [value, ...]}`, and a run for each of its values.

    Run `a` with label `A` becomes `a-0.1` with label `A, 0.1`, a point of line `A` along KEY. What
    was reported is dropped, as it is of one value only. Runs for pre-training stay as they are.

    Args:
        tree: the definition as plain types.
        source: what errors call it.

    Raises:
        ConfigError: `vary` is not one setting with at least two numbers.
    """
    if "vary" not in tree:
        return tree
    rest = {name: value for name, value in tree.items() if name != "vary"}
    key, values = _varied(tree["vary"], source)
    runs = tree.get("runs")
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        return rest
    names = {run.get("name") for run in runs if not run.get("pretraining")}
    expanded = [
        one
        for run in runs
        for one in (
            [run] if run.get("name") not in names else [_at(run, key, at, names) for at in values]
        )
    ]
    return {"along": key, **rest, "runs": expanded}


def _varied(vary: Any, source: str) -> tuple[str, list[float]]:
    if isinstance(vary, dict) and len(vary) == 1:
        ((key, values),) = vary.items()
        numbers = isinstance(values, list) and len(values) > 1
        if numbers and all(type(value) in {int, float} for value in values):
            return str(key), values
    raise ConfigError(
        f"key 'vary' in {source}: expected one setting with at least two numbers",
        "e.g. vary: {data.label_fraction: [0.1, 0.5, 1.0]}",
    )


def _at(run: dict[str, Any], key: str, value: float, names: set[Any]) -> dict[str, Any]:
    """Return a run at one value; it starts from other expanded runs at the same value."""
    starts = {flag: f"{run[flag]}-{value}" for flag in STARTS if run.get(flag) in names - {None}}
    own = run.get("settings")
    settings = place = copy.deepcopy(own) if isinstance(own, dict) else {}
    *above, last = key.split(".")
    for part in above:
        if not isinstance(place.get(part), dict):
            place[part] = {}
        place = place[part]
    place[last] = value
    return {
        **{name: as_is for name, as_is in run.items() if name != "reported"},
        **starts,
        "name": f"{run.get('name')}-{value}",
        "label": f"{run.get('label')}, {value}",
        "line": run.get("label"),
        "settings": settings,
    }
