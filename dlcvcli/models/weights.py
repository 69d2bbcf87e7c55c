"""Load pre-trained weights from torchvision or a file into a network, and report what fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from dlcvcli.errors import CheckpointError
from dlcvcli.models.weight_files import State, download, read_state

BACKBONE = "backbone."

# Layers of a fully convolutional VGG -> torchvision's linear layers with the same weights.
_LINEAR_SOURCES = {"fc6": "classifier.0", "fc7": "classifier.3"}


@dataclass(frozen=True)
class LoadReport:
    """Which weights were loaded into a backbone or a network; `str` gives one line of text.

    BatchNorm's counters, on which no output depends, are loaded but not listed.

    Attributes:
        source: name of torchvision's weights, or the path of the file.
        what: `backbone` or `network`.
        loaded: its tensors that were loaded.
        missing: its tensors that were not, and keep their random values.
        left_over: tensors of the source that were not used, by the source's names.
        note: a remark on the weights.
    """

    source: str
    what: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    left_over: tuple[str, ...]
    note: str = ""

    def __str__(self) -> str:
        total = len(self.loaded) + len(self.missing)
        line = f"{len(self.loaded)} of {total} {self.what} tensors loaded from {self.source}"
        if self.missing:
            line += f"; {len(self.missing)} missing: {_some(self.missing)}"
        if self.left_over:
            line += f"; {len(self.left_over)} not used: {_some(self.left_over)}"
        return f"{line}; {self.note}" if self.note else line


def load_backbone(
    module: nn.Module, weights: str, *, torchvision_name: str, prefix: str | None = None
) -> LoadReport:
    """Load the tensors of a source that fit a backbone by name and shape, in place.

    A file may hold the state dict of a classifier or of a network, or a checkpoint with one of them
    under ``task``, ``state_dict`` or ``model``. The prefix of the backbone's names in it (such as
    ``network.backbone.``) is the one with which most tensors fit, and the first of equals. No
    code in a file is run.

    Args:
        module: the backbone.
        weights: ``imagenet`` for torchvision's weights (downloaded once, hash checked), or the path
            of a file.
        torchvision_name: the weights that ``imagenet`` means, as ``Enum.MEMBER``.
        prefix: prefix of the backbone's names in the source; None to search for it.

    Raises:
        CheckpointError: the weights cannot be downloaded or read, hold code or values that are not
            finite, fit less than three quarters of the backbone's tensors, or are those of a deeper
            network, of which a quarter or more is left over.
    """
    source, state = _open(weights, torchvision_name)
    targets: State = module.state_dict()
    fits, before = _best_fit(state, targets, prefix)
    report = _report(source, "backbone", state, targets, fits)
    kind = torchvision_name.partition("_Weights")[0] or type(module).__name__
    more = sum(key.startswith(before) for key in report.left_over)
    # The first blocks of a ResNet-34 are those of a ResNet-18, whose file leaves 43 % missing; the
    # other way round, 82 % as many tensors as fit are not used.
    if 3 * len(report.missing) > len(report.loaded) or 3 * more > len(report.loaded):
        raise _misfit(report, state, targets, kind, before, more)
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
    """Load weights into the backbone of a segmentation network, and its head if possible, in place.

    The backbone is loaded as in `load_backbone`. If the source holds a segmentation network of dlcv
    or torchvision, the tensors of the head that fit by name and shape are loaded as well. A
    classifier for other classes does not fit and stays random.

    Args:
        network: a network with its backbone under ``backbone``.
        weights: ``imagenet`` or the path of a file, as in `load_backbone`.
        torchvision_name: the weights that ``imagenet`` means, as ``Enum.MEMBER``.
        torchvision_heads: prefix of the head's names here -> in torchvision's network.
        torchvision_note: note of the report if the source is torchvision's network.

    Returns:
        The report on the network if any of its head was loaded, else on the backbone.

    Raises:
        CheckpointError: as in `load_backbone`.
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
    # If the names differ, the head is torchvision's.
    is_torchvision = any(not key.endswith(name) for name, key in head.items())
    return replace(report, note=torchvision_note) if is_torchvision else report


def _open(weights: str, torchvision_name: str) -> tuple[str, State]:
    """Return the name of a source and its tensors."""
    if weights == "imagenet":
        return torchvision_name, download(torchvision_name)
    return weights, read_state(weights)


def _best_fit(
    state: State, targets: State, prefix: str | None = None
) -> tuple[dict[str, str], str]:
    """Return the backbone's names with those in the source, and the source's prefix."""
    schemes = _schemes(state, targets) if prefix is None else [(prefix, "")]
    matches = [(_fits(state, targets, *scheme), scheme[0]) for scheme in schemes]
    return max(matches, key=lambda match: len(match[0]), default=({}, ""))


def _head_fits(
    state: State, targets: State, root: str, torchvision_heads: Mapping[str, str]
) -> dict[str, str]:
    """Map a head's names to those of a source in which the network has the prefix `root`."""
    fits = {}
    for name, target in targets.items():
        names = [name]
        names += [
            theirs + name.removeprefix(ours)
            for ours, theirs in torchvision_heads.items()
            if name.startswith(ours)
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
    needed = [name for name in targets if not _is_counter(name)]
    return LoadReport(
        source=source,
        what=what,
        loaded=tuple(name for name in needed if name in fits),
        missing=tuple(name for name in needed if name not in fits),
        left_over=tuple(key for key in state if key not in used and not _is_counter(key)),
    )


def _require_half(report: LoadReport, state: State, targets: State, kind: str) -> None:
    if 2 * len(report.loaded) < len(report.loaded) + len(report.missing):
        raise _misfit(report, state, targets, kind)


def _fill(module: nn.Module, source: str, state: State, fits: Mapping[str, str]) -> None:
    """Copy the tensors that fit, if all of their values are finite."""
    for key in set(fits.values()):
        if not _is_finite(state[key]):
            raise CheckpointError(
                f"{source}: the values of '{key}' are not all finite",
                "the training diverged or the file is incomplete: use another file",
            )
    targets: State = module.state_dict()
    filled = {name: state[key].reshape(targets[name].shape) for name, key in fits.items()}
    module.load_state_dict(filled, strict=False)


def _schemes(state: State, targets: State) -> list[tuple[str, str]]:
    """Return how the source's names may follow from the backbone's: (prefix to add, to remove).

    Torchvision's segmentation networks have no ``features.`` in the names of a MobileNet.
    """
    names = [name for name in targets if not _is_counter(name)]
    schemes: dict[tuple[str, str], None] = {}
    for removed in ("", "features."):
        for name in (names[0], names[len(names) // 2], names[-1]):
            suffix = name.removeprefix(removed)
            for key in state:
                added = key.removesuffix(suffix)
                if added != key and (not added or added.endswith(".")):
                    schemes.setdefault((added, removed))
    # Sorted by the place of a scheme's first key in the file; of equal fits the first is taken.
    order = {key: place for place, key in enumerate(state)}
    return sorted(
        schemes,
        key=lambda scheme: min(
            order.get(scheme[0] + name.removeprefix(scheme[1]), len(order)) for name in names
        ),
    )


def _fits(state: State, targets: State, added: str, removed: str) -> dict[str, str]:
    """Map the backbone's names to the source's, for tensors of the same shape."""
    fits: dict[str, str] = {}
    for name, target in targets.items():
        key = added + name.removeprefix(removed)
        layer, _, kind = name.rpartition(".")
        linear = f"{added}{_LINEAR_SOURCES.get(layer, '')}.{kind}"
        if key in state:
            if state[key].shape == target.shape:
                fits[name] = key
        elif linear in state and _is_same_layer(state[linear], target):
            fits[name] = linear
    return fits


def _is_same_layer(linear: Tensor, convolution: Tensor) -> bool:
    """Return whether a linear layer's tensor is finite and has a convolution's flattened shape."""
    flat = convolution.flatten(1) if convolution.ndim > 1 else convolution
    # Torchvision's features-only VGG weights have a classifier of NaNs.
    return linear.shape == flat.shape and _is_finite(linear)


def _is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _misfit(
    report: LoadReport,
    state: State,
    targets: State,
    kind: str,
    before: str = "",
    more: int = 0,
) -> CheckpointError:
    """Return the error for a source that does not fit, with the first tensors that differ."""
    total = len(report.loaded) + len(report.missing)
    message = f"fits {len(report.loaded)} of the {total} tensors of the backbone {kind}"
    if more and not report.missing:
        return CheckpointError(
            f"{report.source}: {message}, and has {more} more: it is of a larger network",
            "choose the --model that the weights are of",
        )
    name = report.missing[0]
    if before + name in state:
        shapes = list(targets[name].shape), list(state[before + name].shape)
        return CheckpointError(
            f"{report.source}: {message}",
            f"'{name}' is {shapes[0]} in the backbone and {shapes[1]} in the file: use weights of "
            "this backbone",
        )
    name, key = next(iter(targets)), next(iter(state))
    return CheckpointError(
        f"{report.source}: {message}",
        f"the backbone begins with '{name}' {list(targets[name].shape)}, "
        f"the file with '{key}' {list(state[key].shape)}: use weights of this backbone",
    )


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
