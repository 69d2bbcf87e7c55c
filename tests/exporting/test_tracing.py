"""The exporter prints nothing, and log levels are restored afterwards."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest

from dlcvcli.exporting.tracing import silence


def test_output_of_the_exporter_is_suppressed_while_it_works(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def talk() -> None:
        sys.stdout.write("tracing ...\n")
        sys.stderr.write("skipping\n")
        warnings.warn("will be removed", DeprecationWarning, stacklevel=1)

    logger = logging.getLogger("onnxscript")
    before = logger.level
    with silence():
        talk()
        assert logger.level == logging.ERROR
    assert capsys.readouterr() == ("", "")
    assert logger.level == before
    with pytest.warns(DeprecationWarning, match="will be removed"):
        talk()
    assert capsys.readouterr() == ("tracing ...\n", "skipping\n")


def test_levels_are_restored_after_an_error() -> None:
    logger = logging.getLogger("torch.onnx")
    before = logger.level

    def fail() -> None:
        with silence():
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert logger.level == before
