"""Fill a network with pre-trained weights, from torchvision or from a file; say what fitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from dlcvcli.errors import CheckpointError
from dlcvcli.models.weight_files import State, download, read_state

BACKBONE = "backbone."

# A fully convolutional VGG's layers, and the linear ones of torchvision's that they come from.
_LINEAR_SOURCES = {"fc6": "classifier.0", "fc7": "classifier.3"}


@dataclass(frozen=True)
class LoadReport:
    """What was loaded into a backbone or a whole network; `str` makes a line of it.

    Counters of BatchNorm, which change no result, are loaded but not listed.

    Attributes:
        source: a weight name of torchvision, or the path of the file.
        what: `backbone` or `network`.
        loaded: its tensors that were filled.
        missing: its tensors that were not, and keep their random values.
        left_over: the source's tensors that were not used, under the source's names.
        note: what else is worth knowing.
    """

    source: str
    what: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    note: str = ""

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing)
        line = f"{len(self.loaded)} of {total} {self.what} tensors filled from {self.source}"
        if self.missing:
            line += f"; {len(self.missing)} missing: {_some(self.missing)}"
        if self.left_over:
            line += f"; {len(self.left_over)} not used: {_some(self.left_over)}"
        return f"{line}; {self.note}" if self.note else line


def load_backbone(
    module: nn.Module, weights: str, *, torchvision_name: str, prefix: str | None = None
) -> LoadReport:
    """Fill a backbone, in place, with the tensors of a source that fit it by name and shape.

    A file may hold a classifier's state dict, a whole network's, or a checkpoint with one of them
    under ``task``, ``state_dict`` or ``model``. What stands before the backbone's own names in it
    (such as ``segmenter.network.backbone.``) is found by what fits best; of equals, the first in
    the file is taken. Nothing in a file is executed.

    Args:
        module: the backbone.
        weights: ``imagenet`` for torchvision's weights (downloaded once, hash checked), or the path
            of a file.
        torchvision_name: what ``imagenet`` means here, as ``Enum.MEMBER``.
        prefix: what stands before the backbone's names in the source; None to find it.

    Returns:
        What was loaded and what was not.

    Raises:
        CheckpointError: the file cannot be had or read, holds code or values that are not finite,
            or fits less than half of the backbone's tensors.
    """
    source, state = _open(weights, torchvision_name)
    targets: State = module.state_dict()
    fits, _ = _best_fit(state, targets, prefix)
    report = _report(source, "backbone", state, targets, fits)
    _require_half(report, state, targets, type(module).__name__)
    _fill(module, source, state, fits)
    return report


def load_network(
    network: nn.Module,
    weights: str,
    *,
    torchvision_name: str,
    torchvision_heads: Mapping[str, str],
    torchvision_note: str = "",
) -> LoadReport:
    """Fill a segmentation network, in place: its backbone, and its head where the source has one.

    The backbone is filled as `load_backbone` does it, and must fit. Where the source holds a whole
    network, of dlcv's or of torchvision's, the head's tensors that agree in name and shape are
    taken, too; a classifier of other classes does not, and stays random.

    Args:
        network: with its backbone under ``backbone``.
        weights: ``imagenet`` or the path of a file; see `load_backbone`.
        torchvision_name: what ``imagenet`` means here, as ``Enum.MEMBER``.
        torchvision_heads: how names of the head begin here -> in torchvision's segmenter.
        torchvision_note: what to say where torchvision's segmenter was the source.

    Returns:
        What was loaded: of the network where any of its head was, else of the backbone.

    Raises:
        CheckpointError: see `load_backbone`.
    """
    source, state = _open(weights, torchvision_name)
    targets: State = network.state_dict()
    inside = {n.removeprefix(BACKBONE): v for n, v in targets.items() if n.startswith(BACKBONE)}
    fits, before = _best_fit(state, inside)
    backbone = _report(source, "backbone", state, inside, fits)
    _require_half(backbone, state, inside, type(network.get_submodule("backbone")).__name__)
    head = {}
    if before.endswith(BACKBONE):
        root = before.removesuffix(BACKBONE)
        outside = {n: v for n, v in targets.items() if not n.startswith(BACKBONE)}
        head = _head_fits(state, outside, root, torchvision_heads)
    fits = {f"{BACKBONE}{name}": key for name, key in fits.items()} | head
    _fill(network, source, state, fits)
    if not head:
        return backbone
    report = _report(source, "network", state, targets, fits)
    # Under other names than here, its head is torchvision's.
    theirs = any(not key.endswith(name) for name, key in head.items())
    return replace(report, note=torchvision_note) if theirs else report


def _open(weights: str, torchvision_name: str) -> tuple[str, State]:
    """Return the name of a source and its tensors."""
    if weights == "imagenet":
        return torchvision_name, download(torchvision_name)
    return weights, read_state(weights)


def _best_fit(
    state: State, targets: State, prefix: str | None = None
) -> tuple[dict[str, str], str]:
    """Return which tensor of the source each of a backbone takes, and what its names begin with."""
    schemes = _schemes(state, targets) if prefix is None else [(prefix, "")]
    found = [(_fits(state, targets, *scheme), scheme[0]) for scheme in schemes]
    return max(found, key=lambda fit: len(fit[0]), default=({}, ""))


def _head_fits(
    state: State, targets: State, root: str, theirs: Mapping[str, str]
) -> dict[str, str]:
    """Map a head's names to those of a source whose network's names begin with `root`."""
    fits = {}
    for name, target in targets.items():
        names = [name]
        names += [
            there + name.removeprefix(here)
            for here, there in theirs.items()
            if name.startswith(here)
        ]
        for candidate in names:
            tensor = state.get(root + candidate)
            if tensor is not None and tensor.shape == target.shape:
                fits[name] = root + candidate
                break
    return fits


def _report(
    source: str, what: str, state: State, targets: State, fits: Mapping[str, str]
) -> LoadReport:
    used = set(fits.values())
    wanted = [name for name in targets if not _is_counter(name)]
    return LoadReport(
        source=source,
        what=what,
        loaded=tuple(name for name in wanted if name in fits),
        missing=tuple(name for name in wanted if name not in fits),
        left_over=tuple(key for key in state if key not in used and not _is_counter(key)),
    )


def _require_half(report: LoadReport, state: State, targets: State, kind: str) -> None:
    if 2 * len(report.loaded) < len(report.loaded) + len(report.missing):
        raise _misfit(report, state, targets, kind)


def _fill(module: nn.Module, source: str, state: State, fits: Mapping[str, str]) -> None:
    """Copy the tensors that fit, after a look at their values."""
    for key in set(fits.values()):
        if not _is_finite(state[key]):
            raise CheckpointError(
                f"{source}: the values of '{key}' are not all finite",
                "the training that wrote it diverged, or the file is incomplete; take another one",
            )
    targets: State = module.state_dict()
    filled = {name: state[key].reshape(targets[name].shape) for name, key in fits.items()}
    module.load_state_dict(filled, strict=False)


def _schemes(state: State, targets: State) -> list[tuple[str, str]]:
    """List how the source's names may follow from the backbone's: (put before, cut off).

    Torchvision's own segmenters drop the ``features.`` of a MobileNet's names.
    """
    ends = [name for name in targets if not _is_counter(name)]
    found: dict[tuple[str, str], None] = {}
    for cut in ("", "features."):
        for name in (ends[0], ends[len(ends) // 2], ends[-1]):
            tail = name.removeprefix(cut)
            for key in state:
                before = key.removesuffix(tail)
                if before != key and (not before or before.endswith(".")):
                    found.setdefault((before, cut))
    # Sorted by where the first key of the scheme stands in the file, so that ties have one order.
    order = {key: place for place, key in enumerate(state)}
    return sorted(
        found,
        key=lambda scheme: min(
            order.get(scheme[0] + name.removeprefix(scheme[1]), len(order)) for name in ends
        ),
    )


def _fits(state: State, targets: State, before: str, cut: str) -> dict[str, str]:
    """Map the backbone's names to the source's, where the tensors' shapes agree."""
    fits: dict[str, str] = {}
    for name, target in targets.items():
        key = before + name.removeprefix(cut)
        layer, _, kind = name.rpartition(".")
        linear = f"{before}{_LINEAR_SOURCES.get(layer, '')}.{kind}"
        if key in state:
            if state[key].shape == target.shape:
                fits[name] = key
        elif linear in state and _is_same_layer(state[linear], target):
            fits[name] = linear
    return fits


def _is_same_layer(linear: Tensor, convolution: Tensor) -> bool:
    """Say whether a linear layer's tensor is a convolution's, flattened, and usable."""
    flat = convolution.flatten(1) if convolution.ndim > 1 else convolution
    # Torchvision's features-only VGG file holds a classifier of NaNs.
    return linear.shape == flat.shape and _is_finite(linear)


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _misfit(report: LoadReport, state: State, targets: State, kind: str) -> CheckpointError:
    """Say that a source does not fit, with the first tensor on either side."""
    name, key = next(iter(targets)), next(iter(state))
    total = len(report.loaded) + len(report.missing)
    return CheckpointError(
        f"{report.source}: fits {len(report.loaded)} of the {total} tensors of the backbone {kind}",
        f"wanted names like '{name}' {list(targets[name].shape)}, "
        f"the source begins with '{key}' {list(state[key].shape)}",
    )


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
