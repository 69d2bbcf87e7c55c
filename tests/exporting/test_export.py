"""The driver of an export: file names, certificate, and files after a failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import onnx
import pytest

from dlcvcli.errors import CheckFailed, DlcvError, ModelFileError, UsageError
from dlcvcli.exporting import writing
from dlcvcli.exporting.export import certificate_path, export
from dlcvcli.files import sha256_of
from dlcvcli.runtime.model_file import DIGEST, EXTERNAL
from dlcvcli.runtime.session import open_session, read_metadata
from tests.exporting.toy import Toy

TWO = ("encoder", "decoder")


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def certificate_of(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit the weights inside an ONNX file to 1500 bytes."""
    monkeypatch.setattr(writing, "LARGEST_WEIGHTS", 1500)


def test_one_graph_becomes_one_file_with_a_certificate(tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    lines: list[str] = []
    done = export(Toy(), out, say=lines.append)
    assert (done.out, done.paths, done.facts) == (out, (out,), [("model", "linear")])
    assert lines == ["tracing linear", "comparing with PyTorch"]
    assert names_in(tmp_path) == {"model.onnx", "certificate.json"}
    metadata = read_metadata(out)
    assert metadata["model"] == "linear"
    assert DIGEST in metadata
    assert EXTERNAL not in metadata
    assert json.loads(metadata["versions"])["export.onnx"] == onnx.__version__
    certificate = certificate_of(certificate_path(out))
    assert (certificate["file"], certificate["sha256"]) == ("model.onnx", sha256_of(out))
    assert (certificate["checkpoint_sha256"], certificate["opset"]) == ("ab", 18)
    assert certificate["passed"] is True
    assert certificate["parity"]["max_y_error"] < 1e-6
    assert certificate["dataset"] is None


def test_the_certificate_is_named_after_the_file(tmp_path: Path) -> None:
    export(Toy(), tmp_path / "new" / "street.onnx")
    assert names_in(tmp_path / "new") == {"street.onnx", "street.certificate.json"}


def test_without_verification_there_is_no_certificate(tmp_path: Path) -> None:
    done = export(Toy(error=1.0), tmp_path / "model.onnx", verify=False)
    assert done.certificate is None
    assert names_in(tmp_path) == {"model.onnx"}


def test_outputs_that_only_the_comparison_needs_are_left_out(tmp_path: Path) -> None:
    toy = Toy(hidden=True)
    export(toy, tmp_path / "model.onnx")
    ((file, traced),) = toy.compared
    assert file != traced
    assert names_in(tmp_path) == {"model.onnx", "certificate.json"}
    assert [value.name for value in onnx.load(tmp_path / "model.onnx").graph.output] == ["y"]


def test_both_backends_are_scored_on_a_set(tmp_path: Path) -> None:
    lines: list[str] = []
    export(Toy(TWO), tmp_path, verify_data="set", say=lines.append)
    assert lines[-1] == "scoring both on 2 images"
    scored = certificate_of(tmp_path / "certificate.json")["dataset"]
    assert scored == {"files": 2, "torch_accuracy": 0.5, "onnx_accuracy": 0.5, "passed": True}


def test_several_graphs_become_a_folder_with_a_file_for_each(tmp_path: Path) -> None:
    out = tmp_path / "sam"
    done = export(Toy(TWO), out)
    assert done.paths == (out / "encoder.onnx", out / "decoder.onnx")
    assert names_in(out) == {"encoder.onnx", "decoder.onnx", "certificate.json"}
    certificate = certificate_of(certificate_path(out))
    assert certificate["files"] == {path.name: sha256_of(path) for path in done.paths}
    assert certificate["structure"].keys() == {
        f"{name}.{check}"
        for name in TWO
        for check in ("onnx_checker", "no_training_nodes", "inputs_and_outputs")
    }
    assert len(certificate["parity"]["cases"]) == 2


def test_a_failed_file_is_named_failed_and_the_old_one_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    out.write_bytes(b"old")
    with pytest.raises(
        CheckFailed, match=r"not within the tolerances: x \[5, 24\]: 'y' differs"
    ) as e:
        export(Toy(error=1.0), out)
    assert e.value.status == 3
    assert "model.failed.certificate.json beside it has every figure" in e.value.hint
    assert out.read_bytes() == b"old"
    assert names_in(tmp_path) == {
        "model.onnx", "model.failed.onnx", "model.failed.certificate.json"
    }  # fmt: skip
    certificate = certificate_of(tmp_path / "model.failed.certificate.json")
    assert (certificate["passed"], certificate["file"]) == (False, "model.failed.onnx")
    assert certificate["sha256"] == sha256_of(tmp_path / "model.failed.onnx")


@pytest.mark.usefixtures("small_limit")
def test_the_files_of_a_failed_folder_are_named_failed(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed):
        export(Toy(TWO, error=1.0), tmp_path)
    assert names_in(tmp_path) == {
        *("encoder.failed.onnx", "encoder.failed.onnx.data"),
        *("decoder.failed.onnx", "decoder.failed.onnx.data"),
        "failed.certificate.json",
    }
    for name in TWO:
        path = tmp_path / f"{name}.failed.onnx"
        assert open_session(path, "cpu").provider == "CPUExecutionProvider"
        onnx.checker.check_model(str(path), full_check=True)
        assert json.loads(read_metadata(path)[EXTERNAL]).keys() == {f"{path.name}.data"}


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("hidden", [False, True])
def test_large_weights_are_written_beside_the_model(tmp_path: Path, hidden: bool) -> None:
    out = tmp_path / "model.onnx"
    done = export(Toy(hidden=hidden), out)
    data = tmp_path / "model.onnx.data"
    assert done.paths == (out, data)
    assert names_in(tmp_path) == {"model.onnx", "model.onnx.data", "certificate.json"}
    assert data.stat().st_size == 24 * 24 * 4
    weights = {
        tensor.name: tensor for tensor in onnx.load(out, load_external_data=False).graph.initializer
    }
    assert not weights["w"].raw_data
    assert weights["b"].raw_data
    assert json.loads(read_metadata(out)[EXTERNAL]) == {"model.onnx.data": sha256_of(data)}
    # The same certificate as for one file.
    single = export(Toy(hidden=hidden), tmp_path / "again" / "model.onnx")
    assert single.certificate == done.certificate


@pytest.mark.usefixtures("small_limit")
def test_a_flipped_bit_of_external_data_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "model.onnx"
    export(Toy(), out)
    open_session(out, "cpu")
    data = tmp_path / "model.onnx.data"
    content = bytearray(data.read_bytes())
    content[1000] ^= 1
    data.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"model\.onnx\.data was changed after its export"):
        open_session(out, "cpu")
    data.unlink()
    with pytest.raises(ModelFileError, match="which is not beside it") as caught:
        open_session(out, "cpu")
    assert caught.value.hint == "copy both files into one folder"


@pytest.mark.usefixtures("small_limit")
@pytest.mark.parametrize("value", ["[", "[1]", '{"../other.data": "ab"}', '{"": "ab"}'])
def test_metadata_that_names_no_file_beside_it_is_refused(tmp_path: Path, value: str) -> None:
    out = tmp_path / "model.onnx"
    export(Toy(), out)
    model = onnx.load(out, load_external_data=False)
    kept = {entry.key: entry.value for entry in model.metadata_props if entry.key != DIGEST}
    onnx.helper.set_model_props(model, {**kept, EXTERNAL: value})
    out.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="is not an ONNX model that can be run"):
        open_session(out, "cpu")


def test_an_export_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = Toy(TWO)

    def fail(files: Any, data: Any) -> NoReturn:
        raise DlcvError("broken")

    monkeypatch.setattr(toy, "score", fail)
    with pytest.raises(DlcvError, match="broken"):
        export(toy, tmp_path, verify_data="set")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file is a file, not a folder"):
        export(Toy(), tmp_path / "file" / "model.onnx")
    (tmp_path / "model.onnx").mkdir()
    with pytest.raises(DlcvError, match=r"cannot write .*model\.onnx: Is a directory"):
        export(Toy(), tmp_path / "model.onnx")


def test_the_target_of_a_link_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real.onnx", tmp_path / "model.onnx"
    real.touch()
    link.symlink_to(real)
    export(Toy(), link)
    assert link.is_symlink()
    assert read_metadata(real)["model"] == "linear"


@pytest.mark.parametrize("opset", [17, 99])
def test_an_opset_that_cannot_be_written_is_refused(tmp_path: Path, opset: int) -> None:
    with pytest.raises(UsageError, match=f"--opset {opset}: the exporter writes opset 18 to"):
        export(Toy(), tmp_path / "x.onnx", opset=opset)
