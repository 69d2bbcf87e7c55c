"""The `dlcv` command: its help, its flags and its exit statuses."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

import pytest

from dlcvcli import __version__
from dlcvcli.cli import app as module
from dlcvcli.cli import main
from dlcvcli.errors import (
    AlreadySaid,
    CheckFailed,
    DataError,
    DlcvError,
    Interrupted,
    NonFiniteLoss,
    RankLost,
    UsageError,
)
from tests.cli.command import dlcv, refused

EndWith = Callable[[BaseException], tuple[object, str]]


def test_help_and_version_import_no_slow_library() -> None:
    script = (
        "import sys\n"
        "from dlcvcli.cli import main\n"
        "sys.argv = ['dlcv', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'onnxruntime', 'pydantic', 'PIL'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "HEAVY []" in done.stdout
    for command in ("demo", "train", "export", "eval", "predict", "data", "figure", "models"):
        assert command in done.stdout
    assert dlcv("--version").stdout.strip() == f"dlcv {__version__}"


def test_commands_have_the_documented_flags() -> None:
    flags = {
        ("train", "seg"): "data model classes epochs steps batch-size size crop loss optimizer lr "
        "backbone-lr-scale schedule weights snapshot max-time seed precision devices "
        "sync-batchnorm workers out recipe config set resume extend init print-config",
        ("export",): "out precision opset verify-data no-verify",
        ("eval",): "data split onnx provider compare metric batch-size size min-miou json",
        ("predict",): "out onnx provider",
        ("demo",): "out",
        ("data", "get"): "from any-archive",
        ("data", "decode"): "classes ignore-index binarise palette",
        ("data", "encode"): "classes ignore-index",
        ("data", "stats"): "classes layout ignore-index binarise json figure log",
        ("data", "make"): "train validation size seed",
        ("models",): "size classes set depth json",
        ("figure", "architecture"): "out size classes set",
    }
    for command, names in flags.items():
        page = dlcv(*command, "--help").stdout
        for name in names.split():
            assert f"--{name}" in page, (command, name)


def test_a_mistyped_command_exits_with_2() -> None:
    assert dlcv("tran").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "seg", "--data", ""), "the value of --data is empty"),
        (("train", "seg", "--data", "x", "--out="), "the value of --out is empty"),
        (("train", "fewshot", "--weights", "", "--data", "x"), "the value of --weights is empty"),
        (("eval", "", "--data", "x"), "an argument is empty"),
        (("eval", "run", "--data", "x", "--json", ""), "the value of --json is empty"),
        (("predict", "run", "a.png", "", "--out", "x"), "an argument is empty"),
        (("data", "check", ""), "an argument is empty"),
    ],
)
def test_an_empty_path_is_refused(arguments: tuple[str, ...], message: str) -> None:
    assert "The current folder is ." in refused(2, *arguments, message=message)


def test_the_value_of_a_setting_may_be_empty() -> None:
    assert "key 'data.path'" in refused(2, "train", "seg", "--set", "data.path=", message="data")


@pytest.fixture
def end_with(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> EndWith:
    """Run `main` over a command that raises; returns its exit status and stderr."""
    monkeypatch.delenv("DLCV_DEBUG", raising=False)
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)

    def run(error: BaseException) -> tuple[object, str]:
        def command() -> NoReturn:
            raise error

        monkeypatch.setattr(module, "make_app", lambda: command)
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        assert captured.out == ""
        return end.value.code, captured.err

    return run


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DataError("what"), 1),
        (UsageError("what"), 2),
        (CheckFailed("what"), 3),
        (Interrupted(15, "what"), 143),
    ],
)
def test_each_error_class_has_its_exit_status(
    end_with: EndWith, error: Exception, status: int
) -> None:
    assert end_with(error) == (status, "error: what\n")


def test_a_hint_is_printed_on_its_own_line(end_with: EndWith) -> None:
    assert end_with(DataError("what", "how"))[1] == "error: what\nhint: how\n"


def test_an_error_that_a_child_reported_is_not_repeated(end_with: EndWith) -> None:
    assert end_with(AlreadySaid(3)) == (3, "")


def test_an_error_of_one_rank_has_its_number_and_no_hint(
    end_with: EndWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    assert end_with(DataError("what", "how")) == (1, "error: what\nhint: how\n")
    monkeypatch.setenv("RANK", "2")
    assert end_with(DataError("what", "how")) == (1, "rank 2: error: what\n")
    monkeypatch.delenv("RANK")
    # The processes that a run starts itself have only LOCAL_RANK.
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert end_with(DataError("what", "how")) == (1, "rank 1: error: what\n")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Interrupted(15, "what"), 143),
        (NonFiniteLoss("what"), 1),
        (RankLost("rank 2 is gone"), 1),
        (UsageError("what"), 2),
    ],
)
def test_an_error_of_all_ranks_is_reported_by_the_first(
    end_with: EndWith, monkeypatch: pytest.MonkeyPatch, error: DlcvError, status: int
) -> None:
    monkeypatch.setenv("RANK", "1")
    assert end_with(error) == (status, "")
    monkeypatch.setenv("RANK", "0")
    code, stderr = end_with(error)
    assert code == status
    assert stderr.startswith(f"error: {error.message}\n")


def test_a_disk_error_is_one_line(end_with: EndWith) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "runs/log.txt")
    assert end_with(full) == (1, "error: No space left on device: runs/log.txt\n")
    nameless = OSError(errno.EIO, "Input/output error")
    assert end_with(nameless) == (1, "error: Input/output error: while writing\n")


def test_with_dlcv_debug_an_error_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> NoReturn:
        raise DataError("what")

    monkeypatch.setenv("DLCV_DEBUG", "1")
    monkeypatch.setattr(module, "make_app", lambda: command)
    with pytest.raises(DataError, match="what"):
        main()


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug() -> NoReturn:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(module, "make_app", lambda: bug)
    with pytest.raises(OSError, match="Bad file descriptor"):
        main()
