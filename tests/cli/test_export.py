"""`dlcv export` as users meet it: what is refused before anything is traced."""

from __future__ import annotations

import pickle
from pathlib import Path

from dlcvcli.cli.export import default_onnx_path
from dlcvcli.runs import ModelRef, RunFolder
from tests.cli.command import Code, dlcv_without_torch, refused


def test_a_checkpoint_with_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = tmp_path / "code.ckpt"
    code.write_bytes(pickle.dumps(Code(ran)))
    refused(1, "export", code, says="more than tensors and plain types")
    assert not ran.exists()
    assert not code.with_suffix(".onnx").exists()


def test_flags_that_do_not_fit_are_exit_2(tmp_path: Path, trained_run: Path) -> None:
    file = tmp_path / "model.onnx"
    file.touch()
    refused(2, "export", file, says="is an ONNX file already")
    refused(2, "export", trained_run, "--out", tmp_path / "model.pt", says="does not end in .onnx")
    both = ("--verify-data", tmp_path, "--no-verify")
    refused(2, "export", trained_run, *both, says="contradict each other")
    refused(1, "export", tmp_path / "none", says="does not exist")


def test_without_torch_it_says_what_to_install(trained_run: Path, tmp_path: Path) -> None:
    done = dlcv_without_torch("export", trained_run, "--out", tmp_path / "model.onnx")
    assert done.returncode == 1
    assert "error: export needs torch, which is not installed" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_goes_into_its_run_or_beside_its_checkpoint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert default_onnx_path(ModelRef("checkpoint", run.best, run)) == run.path / "model.onnx"
    bare = ModelRef("checkpoint", tmp_path / "street.ckpt", None)
    assert default_onnx_path(bare) == tmp_path / "street.onnx"
