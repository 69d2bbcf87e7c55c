"""The five transfer settings: from which backbone a run starts, and what of it is trained.

Setting A has no pre-training. B and D start from a backbone that was trained with labels, C and E
from one that was trained without. In D and E the backbone is frozen. Needs no torch.
"""

from __future__ import annotations

from pathlib import Path

from dlcvcli.errors import CheckpointError, UsageError
from dlcvcli.runs import find_model
from dlcvcli.tasks.classification.settings import TrainClsSettings, TransferName

# Setting -> the setting of `transfer` that names its backbone, and whether that is frozen.
_BACKBONES: dict[TransferName, tuple[str | None, bool]] = {
    "A": (None, False),
    "B": ("supervised_backbone", False),
    "C": ("backbone", False),
    "D": ("supervised_backbone", True),
    "E": ("backbone", True),
}


def resolve_transfer(settings: TrainClsSettings) -> TrainClsSettings:
    """Return settings whose `model.weights` and `transfer.freeze` say what the others mean.

    A backbone without a setting is used as in setting B or C.

    Raises:
        UsageError: the backbone of the setting is missing, or another one is given.
        CheckpointError: there is no such file or run.
    """
    transfer, weights = settings.transfer, settings.model.weights
    given = {
        name: value
        for name in ("backbone", "supervised_backbone")
        if (value := getattr(transfer, name)) is not None
    }
    setting = transfer.setting
    freeze = transfer.freeze
    if setting is None:
        needed = next(iter(given), None)
        if len(given) > 1:
            raise UsageError(
                "--backbone and --supervised-backbone are two backbones for one network",
                "choose one of them, or the one to use with --setting",
            )
    else:
        needed, frozen = _BACKBONES[setting]
        if needed is not None and needed not in given:
            flag = _flag(needed)
            raise UsageError(
                f"--setting {setting} starts from a pre-trained backbone, and {flag} is missing",
                f"name its run folder or checkpoint with {flag}",
            )
        if frozen and freeze is None:
            freeze = "all"
    if needed is None:
        return settings.model_copy(
            update={"transfer": transfer.model_copy(update={"freeze": freeze})}
        )
    path = _file(given[needed], _flag(needed))
    if weights not in {"none", path}:
        raise UsageError(
            f"--weights {weights} and {_flag(needed)} are both initial weights",
            "leave one of them out",
        )
    return settings.model_copy(
        update={
            "model": settings.model.model_copy(update={"weights": path}),
            "transfer": transfer.model_copy(update={"freeze": freeze, needed: path}),
        }
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _file(given: str, flag: str) -> str:
    """Return the absolute path of a checkpoint or state dict; of a run, its best checkpoint."""
    if given == "imagenet":
        return given
    path = Path(given)
    if path.is_dir():
        ref = find_model(path)
        if ref.kind != "checkpoint":
            raise UsageError(f"{flag} {given} is no checkpoint", "give a run folder or a .ckpt")
        path = ref.path
    if not path.is_file():
        raise CheckpointError(f"{flag} {given} does not exist")
    return str(path.resolve())
