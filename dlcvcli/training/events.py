"""Records of a run as TensorBoard event files, beside metrics.jsonl, where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from dlcvcli.engine.hooks import Hooks, Plan, Record
from dlcvcli.runs import RunFolder

_PLACE = frozenset({"step", "epoch", "split"})


class EventHook(Hooks):
    """Writes every number of every record as a scalar: `train/loss`, `val/iou_per_class/road`.

    What a run that was killed wrote after its last checkpoint is hidden when it goes on.

    Args:
        run: in whose folder the event files lie.
    """

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self._writer: Any = None

    @staticmethod
    def is_possible() -> bool:
        """Whether tensorboard is installed."""
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
        # Nothing is lost then when the run is killed, and there is nothing to close.
        self._writer.flush()


def _scalars(tree: dict[str, Any], prefix: str) -> list[tuple[str, float]]:
    """Return the numbers in a record, those of inner tables too, by path."""
    found: list[tuple[str, float]] = []
    for key, value in tree.items():
        if key in _PLACE:
            continue
        if isinstance(value, dict):
            found += _scalars(value, f"{prefix}/{key}")
        elif isinstance(value, int | float):
            found.append((f"{prefix}/{key}", float(value)))
    return found
