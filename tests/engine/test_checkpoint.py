"""Checkpoints survive crashes and full disks, are verified when loaded, and run no code."""

from __future__ import annotations

import errno
import os
import pickle
import random
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlcvcli.engine.checkpoint import (
    keep_numbered,
    link_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from dlcvcli.errors import CheckpointError
from dlcvcli.files import replacing

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


def test_saved_checkpoint_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoints" / "last.ckpt", STATE)
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    assert checkpoint["step"] == 3
    assert torch.equal(checkpoint["task"]["w"], STATE["task"]["w"])
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("segmenter.network.head.weight", "network.network.head.weight"),
        ("protonet.embedder.encoder.0.weight", "network.encoder.encoder.0.weight"),
        ("average.embedder.normalise.shift", "average.encoder.normalise.shift"),
        ("network.encoder.encoder.0.weight", "network.encoder.encoder.0.weight"),
        ("average.network.head.weight", "average.network.head.weight"),
    ],
)
def test_tensors_of_older_checkpoints_get_their_names(tmp_path: Path, old: str, name: str) -> None:
    path = tmp_path / "old.ckpt"
    save_checkpoint(path, {**STATE, "task": {old: torch.ones(2)}})
    assert load_checkpoint(path)["task"].keys() == {name}


def test_missing_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    complete, truncated = tmp_path / "a.ckpt", tmp_path / "b.ckpt"
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(complete)
    save_checkpoint(complete, STATE)
    size = complete.stat().st_size
    for length in (0, 10, size // 2, size - 5):
        truncated.write_bytes(complete.read_bytes()[:length])
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(truncated)
        assert "\n" not in caught.value.message
    torch.save({"w": torch.ones(2)}, truncated)
    with pytest.raises(CheckpointError, match="not a checkpoint of dlcv") as caught:
        load_checkpoint(truncated)
    assert "--weights" in caught.value.hint


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("legacy", [False, True])
def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path, legacy: bool) -> None:
    path, marker = tmp_path / "evil.ckpt", tmp_path / "ran"
    content = {**STATE, "format": 1, "extra": Evil(marker)}
    if legacy:
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=r"not loaded|cannot be read"):
        load_checkpoint(path)
    assert not marker.exists()


def test_other_objects_than_plain_types_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "object.ckpt"
    torch.save({**STATE, "format": 1, "config": Path("x")}, path)
    with pytest.raises(CheckpointError, match="more than tensors and plain types"):
        load_checkpoint(path)


def test_newer_format_is_refused(tmp_path: Path) -> None:
    torch.save({**STATE, "format": 2}, tmp_path / "new.ckpt")
    with pytest.raises(CheckpointError, match="format 2"):
        load_checkpoint(tmp_path / "new.ckpt")


def _flip(path: Path, place: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def _same(actual: Any, expected: Any) -> bool:
    if isinstance(expected, torch.Tensor):
        return isinstance(actual, torch.Tensor) and torch.equal(actual, expected)
    if isinstance(expected, dict):
        return actual.keys() == expected.keys() and all(
            _same(actual[key], expected[key]) for key in actual
        )
    return bool(actual == expected)


def test_flipped_bits_are_detected(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.ckpt", tmp_path / "bad.ckpt"
    save_checkpoint(good, {**STATE, "optimizer": {"state": torch.arange(3.0)}})
    content, rng, messages = good.read_bytes(), random.Random(0), []
    weight = content.index(STATE["task"]["w"].numpy().tobytes())
    step = content.index(b"\x00step") + 5
    for place in (weight, weight + 23, step, *rng.sample(range(len(content)), 150)):
        bad.write_bytes(content)
        _flip(bad, place, rng.randrange(8))
        try:
            checkpoint = load_checkpoint(bad)
        except CheckpointError as error:
            messages.append(error.message)
        else:
            # Some bytes between the entries of the archive have no meaning.
            assert place not in (weight, weight + 23, step)
            assert _same(checkpoint, load_checkpoint(good))
    assert all(str(bad) in message and "\n" not in message for message in messages)


def test_damaged_tensor_is_reported_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, STATE)
    _flip(path, path.read_bytes().index(STATE["task"]["w"].numpy().tobytes()) + 6, 7)
    with pytest.raises(CheckpointError, match=r"last\.ckpt is damaged: the checksum of ") as caught:
        load_checkpoint(path)
    assert "best.ckpt" in caught.value.hint


@pytest.mark.filterwarnings("ignore")
def test_old_format_without_checksums_loads(tmp_path: Path) -> None:
    path = tmp_path / "old.ckpt"
    torch.save({**STATE, "format": 1}, path, _use_new_zipfile_serialization=False)
    assert _same(load_checkpoint(path)["task"], STATE["task"])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_weight_is_refused_with_its_name(tmp_path: Path, bad: float) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, {**STATE, "task": {"a": torch.ones(2), "b.w": torch.tensor([1.0, bad])}})
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    assert caught.value.message == (f"checkpoint {path} is damaged: its weight 'b.w' is not finite")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "1"),
        ("task", []),
        ("task", {"w": [1.0]}),
        ("task", {5: torch.ones(1)}),
        ("optimizer", None),
        ("scaler", 3),
        ("step", "3"),
        ("step", True),
        ("step", -1),
        ("best", None),
        ("best", {"metric": "miou", "value": "high", "step": 2}),
        ("best", {"metric": "miou", "value": 0.5, "step": 2, "more": 1}),
        ("last", {"split": "val"}),
        ("seconds", float("nan")),
        ("totals", {"images": 1.5, "seconds": 1.0, "waited": 0.0}),
        ("config", "task: seg"),
        ("data", 5),
        ("data", {"classes": [5]}),
        ("data", {"sha256": {"train": 1}}),
        ("versions", {"dlcv": 1}),
    ],
)
def test_value_of_wrong_type_is_refused_with_its_key(tmp_path: Path, key: str, value: Any) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({**STATE, "format": 1, key: value}, path)
    with pytest.raises(CheckpointError, match=rf"last\.ckpt is damaged: .*key '{key}") as caught:
        load_checkpoint(path)
    assert "\n" not in caught.value.message


def test_unknown_keys_are_kept(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.ckpt", {**STATE, "later": {"steps": 2}})
    assert load_checkpoint(tmp_path / "last.ckpt")["later"] == {"steps": 2}


def test_hint_for_a_full_disk_depends_on_earlier_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save_checkpoint(tmp_path / "later.ckpt", STATE)
    monkeypatch.setattr(torch, "save", full)
    for name, hint in (("first", "no checkpoint yet"), ("later", "last good checkpoint stays")):
        with pytest.raises(CheckpointError, match="No space left on device") as caught:
            save_checkpoint(tmp_path / f"{name}.ckpt", STATE)
        assert hint in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["later.ckpt"]


def test_full_disk_keeps_the_previous_checkpoint(tmp_path: Path) -> None:
    # A limit on the size of files, in a separate process, makes writing fail half-way.
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


def test_linked_best_survives_the_next_save_of_last(tmp_path: Path) -> None:
    last, best = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    for step in (1, 2):
        save_checkpoint(last, {**STATE, "step": step})
        link_checkpoint(last, best)
    save_checkpoint(last, {**STATE, "step": 3})
    assert load_checkpoint(best)["step"] == 2


@given(st.lists(st.sampled_from(["save", "best", "keep"]), max_size=8))
def test_no_sequence_of_saves_leaves_a_partial_file(
    tmp_path_factory: pytest.TempPathFactory, actions: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("checkpoints")
    last, best = folder / "last.ckpt", folder / "best.ckpt"
    last.write_bytes(b"0")
    for number, action in enumerate(actions):
        if action == "save":
            with replacing(last, folder / ".last.ckpt.tmp") as file:
                file.write(str(number).encode())
        elif action == "best":
            link_checkpoint(last, best)
            assert best.read_bytes() == last.read_bytes()
        else:
            keep_numbered(folder, last, number, keep=2)
        assert not list(folder.glob(".*"))


def test_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    last, best = tmp_path / "last.ckpt", tmp_path / "best.ckpt"
    save_checkpoint(last, STATE)
    os.link(last, best)
    (tmp_path / ".best.ckpt.tmp").write_bytes(b"half")
    (tmp_path / ".last.ckpt.tmp").write_bytes(b"half")
    link_checkpoint(last, best)
    save_checkpoint(last, STATE)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_checkpoint_is_copied_where_links_are_not_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(1, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    save_checkpoint(tmp_path / "last.ckpt", STATE)
    link_checkpoint(tmp_path / "last.ckpt", tmp_path / "best.ckpt")
    assert load_checkpoint(tmp_path / "best.ckpt")["step"] == 3


def test_only_the_newest_numbered_checkpoints_are_kept(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.ckpt", STATE)
    for step in (5, 10, 15):
        keep_numbered(tmp_path, tmp_path / "last.ckpt", step, keep=2)
    assert sorted(p.name for p in tmp_path.glob("step-*")) == [
        "step-0000010.ckpt",
        "step-0000015.ckpt",
    ]
