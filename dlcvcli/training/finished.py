"""Whether a run is finished, and its final scores; needs no torch."""

from __future__ import annotations

import json
from typing import Any

from dlcvcli.runs import RunFolder


def final_metrics(run: RunFolder) -> dict[str, Any] | None:
    """Return the scores of a run's best checkpoint; None where the run is not finished."""
    if not run.results.is_file():
        return None
    metrics: dict[str, Any] | None = json.loads(run.results.read_text("utf-8")).get("metrics")
    return metrics
