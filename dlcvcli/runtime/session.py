"""Open ONNX Runtime sessions under the execution provider that was asked for.

ONNX Runtime falls back to the CPU without an error, and `get_available_providers()` describes the
build, not the machine. So the driver is checked, the libraries are loaded first, and the provider
in force is read back from the session.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import onnxruntime as ort

from dlcvcli.config.names import Provider
from dlcvcli.errors import DeviceError, ModelFileError
from dlcvcli.machine import driver_obstacle
from dlcvcli.runtime.model_file import ModelFile, inspect_file, require_external

_CPU = "CPUExecutionProvider"

# `--provider` -> ONNX Runtime's name of it, and the device whose memory it computes in.
PROVIDERS = {
    "cpu": (_CPU, "cpu"),
    "cuda": ("CUDAExecutionProvider", "cuda"),
    "tensorrt": ("TensorrtExecutionProvider", "cuda"),
}
_DEVICES = dict(PROVIDERS.values())

# A session is not on the GPU if its arithmetic is elsewhere.
_HEAVY = frozenset({"Conv", "Resize", "ArgMax"})
_SILENT = 4


@dataclass(frozen=True)
class Session:
    """An ONNX Runtime session and where it runs.

    Attributes:
        session: the `onnxruntime.InferenceSession`.
        provider: the execution provider in force.
        reason: why, where `auto` chose.
        nodes: provider -> number of nodes that it runs; empty where they were not counted.
        channels: see `runtime.model_file.ModelFile`; None for a model opened from bytes.
    """

    session: Any
    provider: str
    reason: str
    nodes: dict[str, int]
    channels: int | None = None

    @property
    def device(self) -> str:
        """The device whose memory the provider computes in, as ONNX Runtime names it."""
        return _DEVICES[self.provider]

    @property
    def on_gpu(self) -> bool:
        """Whether the execution provider computes on a GPU."""
        return self.device != "cpu"

    @property
    def metadata(self) -> dict[str, str]:
        """The file's `metadata_props`."""
        return dict(self.session.get_modelmeta().custom_metadata_map)


def open_session(
    model: Path | bytes,
    provider: Provider = "auto",
    *,
    fixed_shapes: bool = True,
    count_nodes: bool = False,
) -> Session:
    """Open an ONNX model under an execution provider.

    Args:
        model: the file, or its bytes.
        provider: `auto` takes CUDA where it works, else the CPU, and gives the reason.
        fixed_shapes: whether inputs keep one shape, so that CUDA may search for the fastest
            convolution once.
        count_nodes: count the nodes of each provider on the CPU too; elsewhere they always are.

    Raises:
        ModelFileError: the file or its external data is missing, damaged or was changed after its
            export, or it is not an ONNX model.
        DeviceError: the provider asked for is not in force; names the reason.
    """
    channels = None
    if isinstance(model, Path):
        file = _inspect(model)
        with _naming(model):
            require_external(file.metadata, model)
        channels = file.channels
    session = _open_session(model, provider, fixed_shapes=fixed_shapes, count_nodes=count_nodes)
    return replace(session, channels=channels)


def _open_session(
    model: Path | bytes, provider: Provider, *, fixed_shapes: bool, count_nodes: bool
) -> Session:
    create = partial(_create, model, fixed_shapes=fixed_shapes, count_nodes=count_nodes)
    if provider == "cpu":
        return create("cpu", "asked for")
    missing = gpu_obstacle()
    if provider == "auto":
        if missing is None:
            try:
                return create("cuda", "a GPU is at hand")
            except DeviceError as error:
                missing = error.message
        return create("cpu", f"no CUDA: {missing}")
    if missing is not None:
        raise DeviceError(
            f"--provider {provider} cannot be used: {missing}",
            "use --provider cpu, or auto to take what there is",
        )
    return create(provider, "asked for")


def read_metadata(path: Path) -> dict[str, str]:
    """Return the `metadata_props` of an ONNX file without opening a session.

    Raises:
        ModelFileError: the file is missing, damaged or was changed after its export, or it is not
            an ONNX model.
    """
    return _inspect(path).metadata


def _inspect(path: Path) -> ModelFile:
    if not path.is_file():
        raise ModelFileError(f"{path} does not exist")
    with _naming(path):
        state = path.stat()
        return _inspect_once(path, state.st_mtime_ns, state.st_size)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Report a file that cannot be read or is malformed under its name."""
    try:
        yield
    except ValueError as error:
        raise _not_a_model(path, "its content is malformed") from error
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror}") from error


@lru_cache(maxsize=4)
def _inspect_once(path: Path, changed: int, size: int) -> ModelFile:
    """Inspect a file: a command first asks for the task of a model, and then opens it."""
    return inspect_file(path)


def gpu_obstacle() -> str | None:
    """Return why CUDA cannot work on this machine; None where nothing stands in the way."""
    name, _ = PROVIDERS["cuda"]
    if name not in ort.get_available_providers():
        both = {"onnxruntime", "onnxruntime-gpu"} <= _installed_wheels()
        if both:
            return (
                "onnxruntime and onnxruntime-gpu are both installed and the CPU one is loaded; "
                "uninstall both, then install onnxruntime-gpu"
            )
        return "the installed onnxruntime is built for the CPU only"
    return driver_obstacle()


def _installed_wheels() -> set[str]:
    installed = set()
    for name in ("onnxruntime", "onnxruntime-gpu"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            metadata.version(name)
            installed.add(name)
    return installed


def _options() -> Any:
    options = ort.SessionOptions()
    # Lower levels give up the blocked layouts, which are most of the speed on a CPU.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    return options


def _create(
    model: Path | bytes, provider: str, reason: str, *, fixed_shapes: bool, count_nodes: bool
) -> Session:
    name, device = PROVIDERS[provider]
    options = _options()
    requested: list[Any] = [name]
    counts = count_nodes or device != "cpu"
    if counts:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if device == "cuda":
        search = "EXHAUSTIVE" if fixed_shapes else "HEURISTIC"
        cuda, _ = PROVIDERS["cuda"]
        with_cuda = (cuda, {"cudnn_conv_algo_search": search, "use_tf32": "0"})
        requested = [with_cuda, _CPU] if name == cuda else [name, with_cuda, _CPU]
        # It prints missing libraries to stdout, which is for the result only.
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    session = _open(model, options, requested)
    in_force = session.get_providers()[0]
    if in_force != name:
        raise DeviceError(
            f"{name} was asked for and {in_force} is in force: {_load_error(provider)}",
            "use --provider cpu, or repair the installation (CUDA 13 and cuDNN 9 are needed)",
        )
    nodes = _nodes_per_provider(session, name) if counts else Counter()
    return Session(session, in_force, reason, dict(nodes))


def _open(model: Path | bytes, options: Any, providers: list[Any]) -> Any:
    ort.set_default_logger_severity(_SILENT)
    try:
        source = str(model) if isinstance(model, Path) else model
        return ort.InferenceSession(source, options, providers=providers)
    except Exception as error:
        detail = runtime_error(error)
        if detail is None:
            raise
        raise _not_a_model(model if isinstance(model, Path) else "the model", detail) from error
    finally:
        ort.set_default_logger_severity(2)


def _not_a_model(label: object, detail: str) -> ModelFileError:
    return ModelFileError(
        f"{label} is not an ONNX model that can be run: {detail}",
        "give a file that `dlcv export` wrote",
    )


def runtime_error(error: Exception) -> str | None:
    """Return the message of an error of ONNX Runtime in one line; None for any other error."""
    # Its own exception types are not public.
    if not type(error).__module__.startswith("onnxruntime"):
        return None
    return " ".join(str(error).split())[:200]


def _nodes_per_provider(session: Any, wanted: str) -> Counter[str]:
    """Count the nodes of each provider, and refuse heavy ones that another provider runs."""
    nodes: Counter[str] = Counter()
    strays: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        for node in part.get_nodes():
            nodes[part.ep_name] += 1
            if part.ep_name != wanted and node.op_type in _HEAVY:
                strays[node.op_type] += 1
    if strays:
        placed = ", ".join(f"{count} {op}" for op, count in strays.items())
        raise DeviceError(f"{wanted} does not run all of the graph: {placed} are placed elsewhere")
    return nodes


def _load_error(provider: str) -> str:
    """Return the loader's message on why the library of a provider does not load."""
    library = f"onnxruntime_providers_{provider}"
    file = f"{library}.dll" if sys.platform == "win32" else f"lib{library}.so"
    path = Path(ort.__file__).parent / "capi" / file
    try:
        ctypes.CDLL(str(path))
    except OSError as error:
        return str(error)
    return "its library loads, but it did not start"
