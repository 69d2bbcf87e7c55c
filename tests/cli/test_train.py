"""`dlcv train` on the command line: results, exit statuses, one line per mistake."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from dlcvcli.runs import RunFolder
from tests.cli.command import ROOT, SMALL, Code, dlcv, dlcv_without_torch, refused
from tests.conftest import write_camvid


def test_print_config_shows_the_merged_settings(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("optim: {lr: 0.5}\ntrain: {seed: 3}\n")
    done = dlcv(
        "train", "seg", "--recipe", "camvid", "--config", file, "--lr", "0.25",
        "--set", "train.keep=2", "--print-config",
    )  # fmt: skip
    settings = yaml.safe_load(done.stdout)
    assert settings["recipe"] == "camvid"
    assert settings["optim"]["lr"] == 0.25
    assert (settings["train"]["seed"], settings["train"]["keep"]) == (3, 2)
    assert settings["data"]["crop"] == [176, 240]


def test_mistakes_in_flags_and_settings_exit_with_2(tmp_path: Path, landcover: Path) -> None:
    typo = tmp_path / "typo.yaml"
    typo.write_text("optim: {learning_rate: 1}\n")
    train = ("train", "seg", "--data", landcover)
    assert "lr" in refused(2, *train, "--config", typo, message="optim.learning_rate")
    assert "did you mean 'lr'" in refused(2, *train, "--set", "optim.lrr=1", message="optim.lrr")
    refused(2, *train, "--model", "deeplabv3plus_resnet5", message="deeplabv3plus_resnet5")
    refused(2, *train, "--recipe", "camvit", message="camvit")
    refused(2, *train, "--steps", 1, "--epochs", 1, message="epochs and steps")
    refused(2, *train, "--extend", message="--extend")
    refused(2, *train, "--batch-size", 100, "--model", "fcn32s_vgg16", message="batch size 100")
    assert dlcv("train", "seg", "--lr", "fast").returncode == 2


def test_unusable_data_exits_with_1(tmp_path: Path) -> None:
    train = ("train", "seg", *SMALL, "--out", tmp_path / "run", "--data")
    refused(1, *train, tmp_path / "none", message="does not exist")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(1, *train, empty, message="is empty")

    folder = write_camvid(tmp_path / "lonely", {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    (folder / "trainannot" / "001.png").unlink()
    refused(1, *train, folder, message="has no mask")
    folder = write_camvid(tmp_path / "masked", {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    (folder / "train" / "001.png").unlink()
    refused(1, *train, folder, message="has no image")

    folder = write_camvid(tmp_path / "cut", {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    Image.new("RGB", (64, 64)).save(folder / "train" / "000.jpg")
    (folder / "train" / "000.png").unlink()
    jpeg = folder / "train" / "000.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[:400])
    refused(1, *train, folder, message="000.jpg")

    folder = write_camvid(tmp_path / "ids", {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    Image.fromarray(np.full((16, 16), 77, np.uint8)).save(folder / "trainannot" / "002.png")
    refused(1, *train, folder, message="class id 77")

    folder = write_camvid(tmp_path / "sizes", {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    Image.new("RGB", (20, 16)).save(folder / "train" / "002.png")
    refused(1, *train, folder, message="20 x 16")
    assert not (tmp_path / "run").exists()


def test_without_torch_the_error_names_the_install(tmp_path: Path) -> None:
    # The settings need no torch.
    assert "steps: 5" in dlcv_without_torch("train", "seg", "--steps", 5, "--print-config").stdout
    train = ("train", "seg", "--data", tmp_path, "--out", tmp_path / "run")
    done = dlcv_without_torch(*train)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: training needs torch, which is not installed",
        "hint: in dlcv's source folder: pip install '.[train]'",
    ]
    assert not (tmp_path / "run").exists()


def test_a_folder_that_contains_a_run_is_refused(trained_run: Path, landcover: Path) -> None:
    before = RunFolder(trained_run).last.read_bytes()
    stderr = refused(
        2,
        "train",
        "seg",
        "--data",
        landcover,
        *SMALL,
        "--out",
        trained_run,
        message="already contains",
    )
    assert f"--resume {trained_run}" in stderr
    assert RunFolder(trained_run).last.read_bytes() == before


def test_unusable_weights_are_refused_and_run_no_code(
    tmp_path: Path, landcover: Path, exported_run: Path
) -> None:
    ran = tmp_path / "ran"
    code = tmp_path / "code.ckpt"
    code.write_bytes(pickle.dumps(Code(ran)))
    init = ("train", "seg", "--data", landcover, *SMALL, "--out", tmp_path / "run", "--init")
    refused(1, *init, code, message="more than tensors and plain types")
    assert not ran.exists()
    assert not (tmp_path / "run").exists()
    refused(2, *init, RunFolder(exported_run).onnx, message="is no checkpoint")


def test_a_file_in_the_path_of_the_run_is_refused(tmp_path: Path, landcover: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    train = ("train", "seg", "--data", landcover, *SMALL, "--out", file / "run")
    refused(2, *train, message="file is a file")


def test_resuming_with_other_settings_is_refused_and_keeps_the_run(
    tmp_path: Path, landcover: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    stopped = dlcv("train", "seg", "--data", landcover, *SMALL, "--out", run.path)
    assert stopped.returncode == 0, stopped.stderr
    assert f"next: dlcv eval {run.path} --data {landcover} --onnx --compare" in stopped.stdout
    before = run.last.read_bytes(), run.config.read_bytes()
    resume = ("train", "seg", "--resume", run.path)
    refused(2, *resume, "--lr", 0.5, message="optim.lr: 0.001 -> 0.5")
    refused(2, *resume, "--batch-size", 2, "--seed", 4, message="train.seed: 0 -> 4")
    refused(2, *resume, "--steps", 5, message="train.steps: 2 -> 5")
    refused(2, *resume, "--steps", 1, "--extend", message="has done 2 steps, more than the 1")
    assert (run.last.read_bytes(), run.config.read_bytes()) == before


def test_a_loss_that_is_not_finite_exits_with_1_and_a_hint(tmp_path: Path, landcover: Path) -> None:
    run = RunFolder(tmp_path / "run")
    train = ("train", "seg", "--data", landcover, *SMALL, "--steps", 9, "--lr", 1e30)
    done = dlcv(*train, "--precision", "fp32", "--out", run.path)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "not finite" in line
    assert "hint: lower --lr" in done.stderr
    assert run.last.is_file()


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_full_disk_keeps_the_last_good_checkpoint(
    tmp_path: Path, landcover: Path, trained_run: Path
) -> None:
    import resource
    import shutil

    run = RunFolder(shutil.copytree(trained_run, tmp_path / "run"))
    before = run.last.read_bytes()
    # No file may grow beyond 1 MB: writing fails as it does on a full disk.
    limit = 1 << 20
    done = subprocess.run(
        [sys.executable, "-m", "dlcvcli", "train", "seg", "--resume", str(run.path), "--extend",
         "--steps", "8"],
        capture_output=True, text=True, check=False, cwd=ROOT,
        preexec_fn=lambda: (
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        ),
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "cannot save the checkpoint" in line
    assert "last good checkpoint stays" in done.stderr
    assert run.last.read_bytes() == before
    assert not list(run.checkpoints.glob(".*"))


def test_a_stopped_run_names_the_command_that_resumes_it(tmp_path: Path, landcover: Path) -> None:
    run = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-m", "dlcvcli", "train", "seg", "--data", str(landcover),
         "--model", "lraspp_mobilenet_v3_large", "--batch-size", "4", "--steps", "500",
         "--out", str(run), "--set", "train.log_every=1", "--set", "train.val_every=1000"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step 2"):
            break
    # To the whole group, loader workers too, as Ctrl-C in a terminal and job managers do. That
    # SIGTERM stops a run as well is tested in tests/engine/test_fit.py.
    os.killpg(process.pid, signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert f"dlcv train seg --resume {run}" in rest
    assert RunFolder(run).last.is_file()
    started = time.time()
    done = dlcv("train", "seg", "--resume", run, "--max-time", "1s")
    assert done.returncode == 0, done.stderr
    assert "resuming at step" in done.stderr
    assert time.time() - started < 60
