"""A run folder: where each file in it lives, how it is made, found and read.

A training run leaves everything that it was and did in one folder, and everything else (resume,
evaluation, export, figures) starts from that folder.
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
    """The files of one training run; nothing is created by naming them."""

    path: Path

    @property
    def config(self) -> Path:
        """The resolved settings; the first thing written."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions, machine and the data's fingerprint."""
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        """What the console said, line by line."""
        return self.path / "log.txt"

    @property
    def metrics(self) -> Path:
        """One JSON object a line: `step`, `epoch`, `split` and what was measured."""
        return self.path / "metrics.jsonl"

    @property
    def results(self) -> Path:
        """The run's outcome, written at its end."""
        return self.path / "results.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def last(self) -> Path:
        """The newest checkpoint, from which `--resume` goes on."""
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
        """What the export proved."""
        return self.path / "certificate.json"

    @property
    def holds_run(self) -> bool:
        """Whether a run is kept here.

        A training that was killed before its first checkpoint, which is written before the first
        step, leaves none: the command that began it can be given again.
        """
        if self._died_at_start:
            return False
        return self.config.exists() or self.checkpoints.exists()

    @property
    def _died_at_start(self) -> bool:
        # The lock is taken before the folder of checkpoints is made: without it, the folder is
        # somebody else's.
        begun = (self.path / LOCK).exists() and self.checkpoints.is_dir()
        kept = (self.metrics, self.results, *self.checkpoints.glob("*.ckpt"))
        return begun and not any(file.exists() for file in kept)

    def require_free(self) -> None:
        """Refuse a folder that a new run must not be written into.

        Raises:
            UsageError: it already holds a run, or is a file.
        """
        if self.holds_run:
            raise UsageError(
                f"{self.path} already holds a run",
                f"choose another --out, or go on with --resume {self.path}",
            )
        for part in (self.path, *self.path.parents):
            if part.exists() and not part.is_dir():
                raise UsageError(
                    f"{part} is a file, not a folder for a run", "choose another --out"
                )

    def require_begun(self) -> None:
        """Refuse a folder in which a training began and has not saved anything yet.

        Raises:
            DataError: it is one.
        """
        if self._died_at_start:
            raise DataError(
                f"run {self.path} has no checkpoint yet: nothing was trained",
                "run the command that began it again",
            )

    def create(self) -> None:
        """Make the folder for a new run.

        Raises:
            UsageError, DlcvError: see `require_free` and `files.make_folder`.
        """
        self.require_free()
        make_folder(self.checkpoints)
        # What a training that died at its start may have left.
        for file in (self.environment, self.log):
            file.unlink(missing_ok=True)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Return the run at `path`.

        Raises:
            DataError: nothing is there, or it is not a run folder.
        """
        if not path.exists():
            raise DataError(f"run folder {path} does not exist")
        run = cls(path)
        if not run.config.is_file():
            raise DataError(
                f"{path} is not a run folder: it holds no config.yaml",
                "give the folder that `dlcv train` wrote (its --out)",
            )
        return run

    def read_config(self) -> dict[str, Any]:
        """Return the resolved settings as plain types.

        Raises:
            DataError: config.yaml cannot be read, or is not a YAML mapping.
        """
        return require_mapping(read_yaml(self.config, "", DataError), str(self.config), DataError)

    def steps_per_epoch(self) -> int | None:
        """Return how many steps an epoch had, from the records; None where there is none yet."""
        last = max(self.read_metrics(), key=lambda record: record["step"], default=None)
        return round(last["step"] / last["epoch"]) if last and last["epoch"] else None

    def read_metrics(self) -> Iterator[dict[str, Any]]:
        """Yield the records of metrics.jsonl; a last line cut short by a crash is left out.

        Raises:
            DataError: a line is not a record with its step, epoch and split.
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

    def cut_metrics(self, step: int) -> None:
        """Drop the records after `step`, so that a resumed run writes them once.

        A training record that was written where the run stopped between two (`partial`) goes, too:
        the resumed run writes the one of the complete interval.
        """
        kept = [
            record
            for record in self.read_metrics()
            if record["step"] <= step and not record.get("partial")
        ]
        write_atomically(self.metrics, "".join(json.dumps(record) + "\n" for record in kept))


def _is_record(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("step")) is int
        and type(value.get("epoch")) in {int, float}
        and isinstance(value.get("split"), str)
    )


def default_run_path(model: str) -> Path:
    """Return `runs/<time>-<model>`, the default of --out."""
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{model}"


@dataclass(frozen=True)
class ModelRef:
    """What MODEL on a command line stands for.

    Attributes:
        kind: a torch checkpoint or an ONNX file.
        path: the file.
        run: the run folder it belongs to, where there is one.
    """

    kind: Literal["checkpoint", "onnx"]
    path: Path
    run: RunFolder | None


def find_model(path: Path) -> ModelRef:
    """Return the checkpoint or ONNX file that MODEL names.

    A run folder stands for its `best.ckpt`, else its `last.ckpt`.

    Raises:
        DataError: nothing is there, the run has no checkpoint yet, or it is some other file.
    """
    if not path.exists():
        raise DataError(
            f"model {path} does not exist", "give a run folder, a .ckpt or a .onnx file"
        )
    if path.is_dir():
        run = RunFolder.open(path)
        for checkpoint in (run.best, run.last):
            if checkpoint.is_file():
                return ModelRef("checkpoint", checkpoint, run)
        run.require_begun()
        raise DataError(f"run {path} has no checkpoint: {run.checkpoints} is empty")
    if path.suffix == ".onnx":
        run = RunFolder(path.resolve().parent)
        return ModelRef("onnx", path, run if run.config.is_file() else None)
    if path.suffix == ".ckpt":
        run = RunFolder(path.resolve().parent.parent)
        return ModelRef("checkpoint", path, run if run.config.is_file() else None)
    raise DataError(
        f"{path} is not a model: its name ends neither in .ckpt nor in .onnx",
        "give a run folder, a .ckpt or a .onnx file",
    )
