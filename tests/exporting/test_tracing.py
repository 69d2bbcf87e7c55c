"""The exporter works in silence, and leaves the loggers as it found them."""

from __future__ import annotations

import logging
import sys
import warnings

import pytest

from dlcvcli.exporting.tracing import quiet


def test_the_exporters_chatter_is_kept_back_and_only_while_it_works(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def chatter() -> None:
        sys.stdout.write("tracing ...\n")
        sys.stderr.write("skipping\n")
        warnings.warn("will be removed", DeprecationWarning, stacklevel=1)

    logger = logging.getLogger("onnxscript")
    before = logger.level
    with quiet():
        chatter()
        assert logger.level == logging.ERROR
    assert capsys.readouterr() == ("", "")
    assert logger.level == before
    with pytest.warns(DeprecationWarning, match="will be removed"):
        chatter()
    assert capsys.readouterr() == ("tracing ...\n", "skipping\n")


def test_levels_are_put_back_after_a_failure_too() -> None:
    logger = logging.getLogger("torch.onnx")
    before = logger.level

    def fail() -> None:
        with quiet():
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert logger.level == before
