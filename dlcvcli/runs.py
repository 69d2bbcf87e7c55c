"""Run folders: the paths of their files, and how they are created, opened and read.

A training run writes everything into one folder, from which resuming, evaluation, export and
figures start.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dlcvcli.errors import DataError, UsageError
from dlcvcli.files import make_folder, write_atomically
from dlcvcli.locks import LOCK
from dlcvcli.yaml_reader import read_yaml, require_mapping


@dataclass(frozen=True)
class RunFolder:
    """Paths of the files of one training run; accessing a path creates nothing."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved settings, written first."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions, machine and the data's fingerprint."""
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        """The log of the run."""
        return self.path / "log.txt"

    @property
    def metrics(self) -> Path:
        """One JSON object per line: `step`, `epoch`, `split` and measured values."""
        return self.path / "metrics.jsonl"

    @property
    def results(self) -> Path:
        """The results, written at the end of the run."""
        return self.path / "results.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The latest checkpoint, from which `--resume` continues."""
        return self.checkpoints / "last.ckpt"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation score."""
        return self.checkpoints / "best.ckpt"

    @property
    def snapshots(self) -> Path:
        """Masks predicted during training: `snapshots/IMAGE/step-000100.png`."""
        return self.path / "snapshots"

    @property
    def figures(self) -> Path:
        """The folder of figures."""
        return self.path / "figures"

    @property
    def onnx(self) -> Path:
        """The exported model."""
        return self.path / "model.onnx"

    @property
    def certificate(self) -> Path:
        """The checks of the exported model."""
        return self.path / "certificate.json"

    @property
    def holds_run(self) -> bool:
        """Whether the folder contains a run.

        The first checkpoint is written before the first step. The folder of a training that was
        killed before that can be used again, so it does not count.
        """
        if self._died_at_start:
            return False
        return self.config.exists() or self.checkpoints.exists()

    @property
    def _died_at_start(self) -> bool:
        # A training creates its lock before the folder of checkpoints: a folder without a lock was
        # created by something else.
        started = (self.path / LOCK).exists() and self.checkpoints.is_dir()
        results = (self.metrics, self.results, *self.checkpoints.glob("*.ckpt"))
        return started and not any(file.exists() for file in results)

    def require_free(self) -> None:
        """Refuse a folder that a new run cannot use.

        Raises:
            UsageError: it already contains a run, or is a file.
        """
        if self.holds_run:
            raise UsageError(
                f"{self.path} already contains a run",
                f"choose another --out, or continue the run with --resume {self.path}",
            )
        for part in (self.path, *self.path.parents):
            if part.exists() and not part.is_dir():
                raise UsageError(
                    f"{part} is a file, not a folder for a run", "choose another --out"
                )

    def require_started(self) -> None:
        """Refuse the folder of a training that ended before its first checkpoint.

        Raises:
            DataError: the folder has no checkpoint and no results.
        """
        if self._died_at_start:
            raise DataError(
                f"run {self.path} has no checkpoint yet: nothing was trained",
                "run the command that started it again",
            )

    def create(self) -> None:
        """Create the folder of a new run.

        Raises:
            UsageError, DlcvError: see `require_free` and `files.make_folder`.
        """
        self.require_free()
        make_folder(self.checkpoints)
        # Files of a training that was killed at its start.
        for file in (self.environment, self.log):
            file.unlink(missing_ok=True)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return the run at `path`.

        Raises:
            DataError: the path does not exist, or is not a run folder.
        """
        if not path.exists():
            raise DataError(f"run folder {path} does not exist")
        run = cls(path)
        if not run.config.is_file():
            raise DataError(
                f"{path} is not a run folder: it contains no config.yaml",
                "use the folder that `dlcv train` wrote (its --out)",
            )
        return run

    def read_config(self) -> dict[str, Any]:
        """Return the resolved settings as plain types.

        Raises:
            DataError: config.yaml cannot be read, or is not a YAML mapping.
        """
        return require_mapping(read_yaml(self.config, "", DataError), str(self.config), DataError)

    def steps_per_epoch(self) -> int | None:
        """Return the number of steps per epoch, from the records; None without records."""
        last = max(self.read_metrics(), key=lambda record: record["step"], default=None)
        return round(last["step"] / last["epoch"]) if last and last["epoch"] else None

    def read_metrics(self) -> Iterator[dict[str, Any]]:
        """Yield the records of metrics.jsonl, without a last line that a crash truncated.

        Raises:
            DataError: a line is not a record with step, epoch and split.
        """
        if not self.metrics.is_file():
            return
        lines = self.metrics.read_bytes().splitlines()
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                if number == len(lines):
                    return
                record = None
            if not _is_record(record):
                start = line[:60].decode(errors="replace")
                raise DataError(
                    f"{self.metrics}, line {number}, is not a record with 'step', 'epoch' and "
                    f"'split': {start!r}",
                    "delete the line, or restore the file from a copy",
                )
            yield record

    def drop_metrics_after(self, step: int) -> None:
        """Delete the records after `step`, which a resumed run writes again.

        A record of an incomplete interval (`partial`) is deleted too: the resumed run writes that
        of the complete interval.
        """
        records = [
            record
            for record in self.read_metrics()
            if record["step"] <= step and not record.get("partial")
        ]
        write_atomically(self.metrics, "".join(json.dumps(record) + "\n" for record in records))


def _is_record(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("step")) is int
        and type(value.get("epoch")) in {int, float}
        and isinstance(value.get("split"), str)
    )


def default_run_path(model: str) -> Path:
    """Return `runs/TIME-MODEL`, the default of --out."""
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{model}"


@dataclass(frozen=True)
class ModelRef:
    """The file that the argument MODEL of a command refers to.

    Attributes:
        kind: PyTorch checkpoint or ONNX file.
        path: the file.
        run: the run folder that it belongs to, if any.
    """

    kind: Literal["checkpoint", "onnx"]
    path: Path
    run: RunFolder | None


def find_model(path: Path) -> ModelRef:
    """Return the checkpoint or ONNX file that the argument MODEL refers to.

    A run folder refers to its `best.ckpt` or, without one, its `last.ckpt`.

    Raises:
        DataError: the path does not exist, the run has no checkpoint, or the file is neither.
    """
    if not path.exists():
        raise DataError(
            f"model {path} does not exist", "use a run folder, a .ckpt file or a .onnx file"
        )
    if path.is_dir():
        run = RunFolder.open(path)
        for checkpoint in (run.best, run.last):
            if checkpoint.is_file():
                return ModelRef("checkpoint", checkpoint, run)
        run.require_started()
        raise DataError(f"run {path} has no checkpoint: {run.checkpoints} is empty")
    if path.suffix == ".onnx":
        run = RunFolder(path.resolve().parent)
        return ModelRef("onnx", path, run if run.config.is_file() else None)
    if path.suffix == ".ckpt":
        run = RunFolder(path.resolve().parent.parent)
        return ModelRef("checkpoint", path, run if run.config.is_file() else None)
    raise DataError(
        f"{path} is not a model: its name ends neither in .ckpt nor in .onnx",
        "use a run folder, a .ckpt file or a .onnx file",
    )
