"""The command line as users meet it: results, exit statuses, one clear line for each mistake."""

from __future__ import annotations

import json
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

from dlcvcli import __version__
from dlcvcli.runs import RunFolder
from tests.conftest import write_camvid

ROOT = Path(__file__).parents[2]


def dlcv(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run `dlcv` as a user does, on one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "NO_COLOR": "1"}
    environment.pop("DLCV_DEBUG", None)
    return subprocess.run(
        [sys.executable, "-m", "dlcvcli", *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin,
        env=environment,
        cwd=ROOT,
        check=False,
    )


def refused(status: int, *arguments: object, says: str) -> str:
    """Run `dlcv`, and require one `error:` line that says something, and no traceback."""
    done = dlcv(*arguments)
    assert done.returncode == status, done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert says in errors[0]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr


class Code:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


SMALL = ("--model", "lraspp_mobilenet_v3_large", "--steps", 2, "--batch-size", 4)


def test_help_and_version_import_nothing_heavy() -> None:
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
    for command in ("demo", "train", "export", "eval", "predict", "data", "models"):
        assert command in done.stdout
    assert dlcv("--version").stdout.strip() == f"dlcv {__version__}"


def test_every_flag_of_the_contract_is_there() -> None:
    flags = {
        ("train", "seg"): "data model classes epochs steps batch-size size crop loss optimizer lr "
        "backbone-lr-scale schedule weights snapshot max-time seed precision devices workers out "
        "recipe config set resume extend init print-config",
        ("export",): "out precision opset verify-data no-verify",
        ("eval",): "data split onnx provider compare metric batch-size size min-miou json",
        ("predict",): "out onnx provider",
        ("demo",): "out",
        ("data", "make"): "train validation size seed",
    }
    for command, names in flags.items():
        page = dlcv(*command, "--help").stdout
        for name in names.split():
            assert f"--{name}" in page, (command, name)


def test_print_config_shows_the_layers_merged(tmp_path: Path) -> None:
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


def test_mistakes_in_flags_and_settings_are_exit_2(tmp_path: Path, landcover: Path) -> None:
    typo = tmp_path / "typo.yaml"
    typo.write_text("optim: {learning_rate: 1}\n")
    train = ("train", "seg", "--data", landcover)
    assert "lr" in refused(2, *train, "--config", typo, says="optim.learning_rate")
    assert "did you mean 'lr'" in refused(2, *train, "--set", "optim.lrr=1", says="optim.lrr")
    refused(2, *train, "--model", "deeplabv3plus_resnet5", says="deeplabv3plus_resnet5")
    refused(2, *train, "--recipe", "camvit", says="camvit")
    refused(2, *train, "--steps", 1, "--epochs", 1, says="epochs and steps")
    refused(2, *train, "--extend", says="--extend")
    refused(2, *train, "--batch-size", 100, "--model", "fcn32s_vgg16", says="batch size 100")
    assert dlcv("train", "seg", "--lr", "fast").returncode == 2
    assert dlcv("tran").returncode == 2


def test_data_that_cannot_be_used_is_exit_1(tmp_path: Path) -> None:
    train = ("train", "seg", *SMALL, "--out", tmp_path / "run", "--data")
    refused(1, *train, tmp_path / "none", says="does not exist")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(1, *train, empty, says="is empty")

    folder = write_camvid(tmp_path / "lonely", {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    (folder / "trainannot" / "001.png").unlink()
    refused(1, *train, folder, says="has no mask")
    folder = write_camvid(tmp_path / "masked", {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    (folder / "train" / "001.png").unlink()
    refused(1, *train, folder, says="has no image")

    folder = write_camvid(tmp_path / "cut", {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    Image.new("RGB", (64, 64)).save(folder / "train" / "000.jpg")
    (folder / "train" / "000.png").unlink()
    jpeg = folder / "train" / "000.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[:400])
    refused(1, *train, folder, says="000.jpg")

    folder = write_camvid(tmp_path / "ids", {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    Image.fromarray(np.full((16, 16), 77, np.uint8)).save(folder / "trainannot" / "002.png")
    refused(1, *train, folder, says="class id 77")

    folder = write_camvid(tmp_path / "sizes", {"train": [(16, 16)] * 3, "val": [(16, 16)]})
    Image.new("RGB", (20, 16)).save(folder / "train" / "002.png")
    refused(1, *train, folder, says="20 x 16")
    assert not (tmp_path / "run").exists()


def test_off_table_colours_are_counted_and_named(tmp_path: Path, landcover: Path) -> None:
    import shutil

    folder = shutil.copytree(landcover, tmp_path / "set")
    path = folder / "train" / "0003_mask.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[:2, :3] = (12, 34, 56)
    Image.fromarray(pixels).save(path)
    said = refused(1, "data", "check", folder, says="1 problems")
    assert "0003_mask.png" in said
    assert "(12, 34, 56)" in said
    assert "6 of 4,096 pixels" in said
    assert dlcv("data", "check", folder, "--binarise").returncode == 0


def test_a_folder_that_holds_a_run_is_not_written_into(trained_run: Path, landcover: Path) -> None:
    before = RunFolder(trained_run).last.read_bytes()
    said = refused(
        2, "train", "seg", "--data", landcover, *SMALL, "--out", trained_run, says="already holds"
    )
    assert f"--resume {trained_run}" in said
    assert RunFolder(trained_run).last.read_bytes() == before


def test_a_model_that_cannot_be_used_is_exit_1(
    tmp_path: Path, landcover: Path, exported_run: Path
) -> None:
    evaluate = ("--data", landcover, "--provider", "cpu")
    refused(1, "eval", tmp_path / "none.onnx", *evaluate, says="does not exist")
    text = tmp_path / "text.onnx"
    text.write_text("hello")
    refused(1, "eval", text, *evaluate, says="not an ONNX model")
    refused(1, "eval", landcover, *evaluate, says="not a run folder")
    import onnx

    foreign = onnx.load(RunFolder(exported_run).onnx)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    refused(1, "eval", tmp_path / "foreign.onnx", *evaluate, says="not one that dlcv exported")
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(RunFolder(exported_run).best.read_bytes()[:1000])
    refused(1, "eval", cut, *evaluate, says="cannot be read")
    ran = tmp_path / "ran"
    code = tmp_path / "code.ckpt"
    code.write_bytes(pickle.dumps(Code(ran)))
    refused(1, "eval", code, *evaluate, says="more than tensors and plain types")
    refused(1, "export", code, says="more than tensors and plain types")
    init = ("train", "seg", "--data", landcover, *SMALL, "--out", tmp_path / "run", "--init")
    refused(1, *init, code, says="more than tensors and plain types")
    assert not ran.exists()
    assert not (tmp_path / "run").exists()
    onnx_file = RunFolder(exported_run).onnx
    refused(2, *init, onnx_file, says="is no checkpoint")
    # What goes wrong in a process of ours is said once.
    refused(1, "eval", cut, *evaluate, "--compare", says="cannot be read")
    refused(1, "eval", onnx_file, "--data", tmp_path / "nowhere", says="does not exist")
    refused(2, "eval", onnx_file, *evaluate, "--metric", "vok", says="vok")


@pytest.mark.skipif(os.path.exists("/dev/nvidia0"), reason="this machine has a GPU")
def test_cuda_without_a_gpu_is_exit_1(exported_run: Path, landcover: Path) -> None:
    for model in (RunFolder(exported_run).onnx, exported_run):
        said = refused(1, "eval", model, "--data", landcover, "--provider", "cuda", says="cuda")
        assert "--provider cpu" in said


def test_compare_needs_the_run_beside_the_file(
    tmp_path: Path, exported_run: Path, landcover: Path
) -> None:
    lonely = tmp_path / "model.onnx"
    lonely.write_bytes(RunFolder(exported_run).onnx.read_bytes())
    refused(2, "eval", lonely, "--data", landcover, "--compare", says="--compare needs")


def test_eval_of_an_onnx_file_writes_the_contract_without_torch(
    exported_run: Path, landcover: Path
) -> None:
    # torch is made impossible to import: the ONNX road must not miss it.
    script = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from dlcvcli.cli import main\n"
        "sys.argv = ['dlcv', *sys.argv[1:]]\n"
        "main()\n"
    )
    onnx_file = RunFolder(exported_run).onnx
    done = subprocess.run(
        [sys.executable, "-c", script, "eval", onnx_file, "--data", landcover, "--json", "-",
         "--metric", "voc", "--metric", "dlcv", "--provider", "cpu"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["task"] == "seg"
    assert (result["backend"], result["provider"]) == ("onnx", "CPUExecutionProvider")
    assert result["provider_reason"] == "asked for"
    assert result["data"].keys() == {"path", "split", "images", "sha256"}
    assert result["data"]["images"] == 4
    metrics = result["metrics"]
    expected = {"miou", "overall_acc", "mean_acc", "freqw_acc", "iou_per_class", "classes_present"}
    assert expected | {"classes_scored", "by_convention"} <= metrics.keys()
    assert metrics["by_convention"].keys() == {"voc", "dlcv"}
    assert 0 <= metrics["miou"] <= 1
    assert metrics["iou_per_class"]["unknown"] is None
    speed = {"images_per_s", "peak_memory_mb", "latency_ms", "wall_s", "share"}
    assert speed <= result["speed"].keys()
    predicted = subprocess.run(
        [sys.executable, "-c", script, "predict", onnx_file, landcover / "train" / "0000_sat.jpg",
         "--out", exported_run / "predicted"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert predicted.returncode == 0, predicted.stderr


def test_compare_sets_both_backends_side_by_side(
    exported_run: Path, landcover: Path, tmp_path: Path
) -> None:
    report = tmp_path / "eval.json"
    done = dlcv(
        "eval", exported_run, "--data", landcover, "--onnx", "--compare", "--provider", "cpu",
        "--json", report,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(report.read_text())
    compare = result["compare"]
    assert result["backend"] == "onnx"
    assert compare["torch"]["miou"] == pytest.approx(result["metrics"]["miou"], abs=1e-4)
    scalars = {k for k, v in result["metrics"].items() if not isinstance(v, dict)}
    assert scalars <= compare["torch"].keys()
    assert compare["argmax_agreement"] >= 0.9999
    assert compare["speedup"] == pytest.approx(
        result["speed"]["images_per_s"] / compare["torch"]["images_per_s"]
    )
    assert "of all pixels agree" in done.stdout


def test_a_score_below_the_threshold_is_exit_3(exported_run: Path, landcover: Path) -> None:
    evaluate = ("eval", RunFolder(exported_run).onnx, "--data", landcover, "--provider", "cpu")
    done = dlcv(*evaluate, "--min-miou", "0.99", "--json", "-")
    assert done.returncode == 3
    assert json.loads(done.stdout)["metrics"]["miou"] < 0.99
    assert "below --min-miou" in done.stderr
    assert dlcv(*evaluate, "--min-miou", "0").returncode == 0


def test_predict_takes_files_folders_and_stdin(
    exported_run: Path, landcover: Path, tmp_path: Path
) -> None:
    image = landcover / "validation" / "0000_sat.jpg"
    onnx_file = RunFolder(exported_run).onnx
    done = dlcv("predict", onnx_file, "-", "--out", tmp_path / "a", stdin=f"{image}\n")
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "a" / "0000_sat.png") in done.stdout
    assert (tmp_path / "a" / "0000_sat_overlay.jpg").is_file()
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"x")
    done = dlcv("predict", onnx_file, bad, image, "--out", tmp_path / "b", "--no-overlay")
    assert done.returncode == 1
    assert "1 of 2 images could not be read" in done.stderr
    assert (tmp_path / "b" / "0000_sat.png").is_file()


def test_data_make_check_and_stats(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    make = ("data", "make", "landcover", folder, "--train", 3, "--validation", 2, "--size", "64x80")
    assert dlcv(*make).returncode == 0
    refused(2, *make, says="not empty")
    done = dlcv("data", "check", folder)
    assert "5 images are sound (train 3, val 2)" in done.stdout
    stats = json.loads(dlcv("data", "stats", folder, "--json", "-").stdout)
    train = stats["splits"]["train"]
    assert train["sizes"] == {"64x80": 3}
    pixels = sum(entry["pixels"] for entry in train["classes"].values())
    assert pixels + train["ignored_pixels"] == 3 * 64 * 80
    assert "forest" in dlcv("data", "stats", folder).stdout


def test_models_lists_and_describes() -> None:
    listed = dlcv("models").stdout
    for name in ("deeplabv3plus_resnet50", "fcn32s_vgg16", "lraspp_mobilenet_v3_large"):
        assert name in listed
    one = dlcv("models", "lraspp_mobilenet_v3_large").stdout
    assert "parameters" in one
    refused(2, "models", "unet", says="unet")


def test_a_file_where_a_folder_should_be_is_one_line(
    exported_run: Path, landcover: Path, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    image = landcover / "validation" / "0000_sat.jpg"
    onnx_file = RunFolder(exported_run).onnx
    for out in (file, file / "below"):
        refused(2, "predict", onnx_file, image, "--out", out, says="file is a file, not a folder")
        refused(2, "data", "make", "landcover", out, says="file")
    masks = ("--masks", file, "--provider", "cpu")
    refused(2, "eval", onnx_file, "--data", landcover, *masks, says="file is a file")
    written = ("--json", file / "eval.json", "--provider", "cpu")
    assert "cannot write" in dlcv("eval", onnx_file, "--data", landcover, *written).stderr
    train = ("train", "seg", "--data", landcover, *SMALL, "--out", file / "run")
    refused(2, *train, says="file is a file")
    overwrites = ("predict", onnx_file, tmp_path / "0000.png", "--out", tmp_path)
    (tmp_path / "0000.png").write_bytes(image.read_bytes())
    refused(2, *overwrites, says="would take the place of an image")
    assert (tmp_path / "0000.png").read_bytes() == image.read_bytes()


def test_resuming_with_other_settings_is_refused_and_loses_nothing(
    tmp_path: Path, landcover: Path
) -> None:
    run = RunFolder(tmp_path / "run")
    begun = dlcv("train", "seg", "--data", landcover, *SMALL, "--out", run.path)
    assert begun.returncode == 0, begun.stderr
    assert f"next: dlcv eval {run.path} --data {landcover} --onnx --compare" in begun.stdout
    before = run.last.read_bytes(), run.config.read_bytes()
    resume = ("train", "seg", "--resume", run.path)
    refused(2, *resume, "--lr", 0.5, says="optim.lr: 0.001 -> 0.5")
    refused(2, *resume, "--batch-size", 2, "--seed", 4, says="train.seed: 0 -> 4")
    refused(2, *resume, "--steps", 5, says="train.steps: 2 -> 5")
    refused(2, *resume, "--steps", 1, "--extend", says="has done 2 steps, more than the 1")
    assert (run.last.read_bytes(), run.config.read_bytes()) == before


def test_a_loss_that_is_no_number_is_exit_1_and_says_where(tmp_path: Path, landcover: Path) -> None:
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on_and_does(
    tmp_path: Path, landcover: Path, number: signal.Signals
) -> None:
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
    # To the whole group, loader workers too, as Ctrl-C in a terminal and job managers do.
    os.killpg(process.pid, number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"dlcv train seg --resume {run}" in rest
    assert RunFolder(run).last.is_file()
    began = time.time()
    done = dlcv("train", "seg", "--resume", run, "--max-time", "1s")
    assert done.returncode == 0, done.stderr
    assert "going on at step" in done.stderr
    assert time.time() - began < 60


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dlcvcli", "eval", "none", "--data", "none"],
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={**os.environ, "DLCV_DEBUG": "1"},
    )  # fmt: skip
    assert "Traceback" in done.stderr
    assert "DataError" in done.stderr
