"""Checkpoints survive a full disk and a crash, and run no code."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from dlcvcli.engine.checkpoint import (
    keep_numbered,
    link_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from dlcvcli.errors import CheckpointError

STATE: dict[str, Any] = {
    "task": {"w": torch.arange(6.0)},
    "optimizer": {},
    "scaler": {},
    "step": 3,
    "best": {"metric": "miou", "value": 0.5, "step": 2},
    "last": None,
    "seconds": 1.5,
    "totals": {"images": 12, "seconds": 1.0, "waited": 0.0},
    "config": {"task": "seg"},
    "data": {},
    "versions": {},
}


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoints" / "last.ckpt", STATE)
    found = load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert found["step"] == 3
    assert torch.equal(found["task"]["w"], STATE["task"]["w"])
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_missing_truncated_and_foreign_files_are_refused_in_one_line(tmp_path: Path) -> None:
    whole, cut = tmp_path / "a.ckpt", tmp_path / "b.ckpt"
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(whole)
    save_checkpoint(whole, STATE)
    for size in (0, 10, whole.stat().st_size // 2, whole.stat().st_size - 5):
        cut.write_bytes(whole.read_bytes()[:size])
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(cut)
        assert "\n" not in caught.value.message
    torch.save({"w": torch.ones(2)}, cut)
    with pytest.raises(CheckpointError, match="not a checkpoint of dlcv") as caught:
        load_checkpoint(cut)
    assert "--weights" in caught.value.hint


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_code_is_refused_and_does_not_run(tmp_path: Path, legacy: bool) -> None:
    path, marker = tmp_path / "evil.ckpt", tmp_path / "ran"
    content = {**STATE, "format": 1, "extra": Evil(marker)}
    if legacy:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"not loaded|cannot be read"):
        load_checkpoint(path)
    assert not marker.exists()


def test_an_object_that_is_no_plain_type_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "object.ckpt"
    torch.save({**STATE, "format": 1, "config": Path("x")}, path)
    with pytest.raises(CheckpointError, match="more than tensors and plain types"):
        load_checkpoint(path)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    torch.save({**STATE, "format": 2}, tmp_path / "new.ckpt")
    with pytest.raises(CheckpointError, match="format 2"):
        load_checkpoint(tmp_path / "new.ckpt")


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    # A real limit on the size of files, in a process of its own: writing fails half-way.
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, STATE)
    before = path.read_bytes()
    script = f"""
        import resource, signal, sys
        from pathlib import Path
        import torch
        from dlcvcli.engine.checkpoint import save_checkpoint
        from dlcvcli.errors import CheckpointError
        state = torch.load({str(path)!r}, weights_only=True)
        state["task"]["w"] = torch.zeros(1_000_000)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            save_checkpoint(Path({str(path)!r}), state)
        except CheckpointError as error:
            print(error.message, "|", error.hint)
            sys.exit(7)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 7, done.stderr
    assert "cannot save the checkpoint" in done.stdout
    assert "--resume" in done.stdout
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_link_replaces_the_old_best_and_outlives_the_next_last(tmp_path: Path) -> None:
    last, best = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    for step in (1, 2):
        save_checkpoint(last, {**STATE, "step": step})
        link_checkpoint(last, best)
    save_checkpoint(last, {**STATE, "step": 3})
    assert load_checkpoint(best)["step"] == 2


def test_a_copy_is_made_where_links_are_not_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    save_checkpoint(tmp_path / "last.ckpt", STATE)
    link_checkpoint(tmp_path / "last.ckpt", tmp_path / "best.ckpt")
    assert load_checkpoint(tmp_path / "best.ckpt")["step"] == 3


def test_only_the_newest_numbered_ones_are_kept(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.ckpt", STATE)
    for step in (5, 10, 15):
        keep_numbered(tmp_path, tmp_path / "last.ckpt", step, keep=2)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == [
        "step-0000010.ckpt",
        "step-0000015.ckpt",
    ]
