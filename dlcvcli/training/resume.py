"""In what a resumed run may differ from the one that was begun. Needs no torch."""

from __future__ import annotations

from typing import Any

from dlcvcli.config.load import differences, validate
from dlcvcli.config.schema import EXTENDABLE_CHANGES, RESUMABLE_CHANGES, RunSettings
from dlcvcli.errors import ConfigError


def require_same_settings(stored: dict[str, Any], settings: RunSettings, *, extend: bool) -> None:
    """Refuse to resume with settings that would change the numbers.

    Args:
        stored: the settings that the run was begun with, as plain types.
        settings: those it is resumed with.
        extend: whether its length may change.

    Raises:
        ConfigError: lists the keys that differ, with both values.
    """
    before = validate(type(settings), stored, {"": "the run's checkpoint"})
    allowed = RESUMABLE_CHANGES | (EXTENDABLE_CHANGES if extend else frozenset())
    changed = {k: v for k, v in differences(before, settings).items() if k not in allowed}
    if not changed:
        return
    listed = "; ".join(f"{key}: {old} -> {new}" for key, (old, new) in changed.items())
    only_length = changed.keys() <= EXTENDABLE_CHANGES
    raise ConfigError(
        f"the run was begun with other settings ({listed})",
        "add --extend to change its length"
        if only_length
        else "resume without these changes, or begin a new run with --init CKPT",
    )
