"""`dlcv export`: its output, its files, and errors before tracing."""

from __future__ import annotations

import pickle
from pathlib import Path

from dlcvcli.cli.onnx_file import default_onnx_path
from dlcvcli.runs import ModelRef, RunFolder
from tests.cli.command import Code, dlcv, dlcv_without_torch, refused


def test_a_checkpoint_with_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    code = tmp_path / "code.ckpt"
    code.write_bytes(pickle.dumps(Code(ran)))
    refused(1, "export", code, message="more than tensors and plain types")
    assert not ran.exists()
    assert not code.with_suffix(".onnx").exists()


def test_conflicting_flags_exit_with_2(tmp_path: Path, trained_run: Path) -> None:
    file = tmp_path / "model.onnx"
    file.touch()
    refused(2, "export", file, message="is an ONNX file already")
    refused(
        2, "export", trained_run, "--out", tmp_path / "model.pt", message="does not end in .onnx"
    )
    both = ("--verify-data", tmp_path, "--no-verify")
    refused(2, "export", trained_run, *both, message="contradict each other")
    refused(1, "export", tmp_path / "none", message="does not exist")


def test_without_torch_the_error_names_what_to_install(trained_run: Path, tmp_path: Path) -> None:
    done = dlcv_without_torch("export", trained_run, "--out", tmp_path / "model.onnx")
    assert done.returncode == 1
    assert "error: export needs torch, which is not installed" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_default_file_is_in_the_run_or_beside_the_checkpoint(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert default_onnx_path(ModelRef("checkpoint", run.best, run)) == run.path / "model.onnx"
    bare = ModelRef("checkpoint", tmp_path / "street.ckpt", None)
    assert default_onnx_path(bare) == tmp_path / "street.onnx"


def test_an_episode_graph_has_its_own_file_name(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    ref = ModelRef("checkpoint", run.best, run)
    assert default_onnx_path(ref, "episode") == run.path / "episode.onnx"
    bare = ModelRef("checkpoint", tmp_path / "marks.ckpt", None)
    assert default_onnx_path(bare, "episode") == tmp_path / "marks-episode.onnx"


def test_the_table_of_a_few_shot_export_describes_the_model(
    tmp_path: Path, fewshot_run: Path, characters: Path
) -> None:
    out = tmp_path / "marks.onnx"
    done = dlcv("export", fewshot_run, "--out", out, "--verify-data", characters)
    assert done.returncode == 0, done.stderr
    assert "the 3 classes that the model's training held out" in done.stderr
    assert "scoring both on 600 episodes" in done.stderr
    facts = ("conv4, 8 values an image", "euclidean", "images in, embeddings out", "16x16")
    for words in (*facts, "largest embedding error", "accuracy on 600 episodes", "passed; "):
        assert words in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"marks.onnx", "marks.certificate.json"}


def test_flags_of_the_other_task_exit_with_2(
    tmp_path: Path, trained_run: Path, fewshot_run: Path
) -> None:
    to = ("--out", tmp_path / "model.onnx")
    refused(
        2, "export", fewshot_run, *to, "--logits", message="--logits is for a segmentation model"
    )
    refused(2, "export", trained_run, *to, "--episode", message="--episode is for a few-shot model")
    refused(2, "export", fewshot_run, *to, "--opset", 99, message="the exporter writes opset 18")
    refused(1, "export", fewshot_run, *to, "--verify-data", tmp_path, message="holds no images")
    assert not list(tmp_path.iterdir())
