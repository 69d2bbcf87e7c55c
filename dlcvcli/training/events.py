"""TensorBoard event files with the records of metrics.jsonl, if TensorBoard is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from dlcvcli.engine.hooks import Hooks, Plan, Record
from dlcvcli.runs import RunFolder

_POSITION = frozenset({"step", "epoch", "split"})


class EventHook(Hooks):
    """Writes every number of every record as a scalar: `train/loss`, `val/iou_per_class/road`.

    On resume, the events that a killed run wrote after its last checkpoint are hidden.

    Args:
        run: the folder for the event files.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._writer: Any = None

    @staticmethod
    def is_possible() -> bool:
        """Return whether tensorboard is installed."""
        return find_spec("tensorboard") is not None

    def on_start(self, plan: Plan) -> None:
        from torch.utils.tensorboard import SummaryWriter

        after = plan.start_step + 1 if plan.start_step else None
        self._writer = SummaryWriter(str(self.run.path), purge_step=after)

    def on_log(self, record: Record) -> None:
        self._write(record)

    def on_validation(self, record: Record, is_best: bool) -> None:
        self._write(record)

    def _write(self, record: Record) -> None:
        for name, value in _scalars(record, record["split"]):
            self._writer.add_scalar(name, value, record["step"])
        # So nothing is lost if the run is killed, and the writer need not be closed.
        self._writer.flush()


def _scalars(tree: dict[str, Any], prefix: str) -> list[tuple[str, float]]:
    """Return the numbers in a record and its nested tables, with their paths."""
    scalars: list[tuple[str, float]] = []
    for key, value in tree.items():
        if key in _POSITION:
            continue
        if isinstance(value, dict):
            scalars += _scalars(value, f"{prefix}/{key}")
        elif isinstance(value, int | float):
            scalars.append((f"{prefix}/{key}", float(value)))
    return scalars
