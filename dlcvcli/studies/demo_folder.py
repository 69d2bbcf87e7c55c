"""The folder of the demo."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from dlcvcli.errors import UsageError
from dlcvcli.files import make_folder
from dlcvcli.runs import RunFolder

_MARK = ".dlcv-demo"


@dataclass(frozen=True)
class DemoFolder:
    """The files of one demo; nothing is created by naming them."""

    path: Path

    @property
    def data(self) -> Path:
        """The synthetic set."""
        return self.path / "data"

    @property
    def run(self) -> RunFolder:
        """The training run."""
        return RunFolder(self.path / "run")

    @property
    def figures(self) -> Path:
        """The folder of figures: those of the run, and the backends side by side."""
        return self.run.figures

    @property
    def evaluation(self) -> Path:
        """The JSON of `dlcv eval --onnx --compare`."""
        return self.path / "eval.json"

    @property
    def masks(self) -> Path:
        """The masks of `dlcv predict`."""
        return self.path / "masks"

    @property
    def page(self) -> Path:
        """The report page."""
        return self.path / "index.html"

    @property
    def commands(self) -> Path:
        """A shell script that repeats the steps."""
        return self.path / "commands.sh"

    def begin(self) -> None:
        """Create the folder; of an existing one, delete only the files of an earlier demo.

        Raises:
            UsageError: it is a file, or a folder that is neither empty nor of a demo.
        """
        make_folder(self.path)
        if not (self.path / _MARK).is_file() and any(self.path.iterdir()):
            raise UsageError(
                f"{self.path} is not empty and not the folder of a demo", "choose another --out"
            )
        for folder in (self.data, self.run.path, self.masks):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.evaluation, self.commands, self.page):
            file.unlink(missing_ok=True)
        (self.path / _MARK).touch()
