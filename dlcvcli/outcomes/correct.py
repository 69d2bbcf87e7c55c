"""Which images of the validation set a run predicts right, from its folder. Needs no torch."""

from __future__ import annotations

import csv

from dlcvcli.runs import RunFolder


def read_correct(run: RunFolder) -> dict[str, bool]:
    """Return image -> whether the best checkpoint predicts it right.

    It is read from `predictions.csv` with the columns `filename`, `label` and `predicted`, in the
    folder of the run; empty where that is missing or damaged.
    """
    try:
        with (run.path / "predictions.csv").open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            return {row["filename"]: row["label"] == row["predicted"] for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, KeyError):
        return {}
