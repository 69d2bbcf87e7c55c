"""Check of the settings of a resumed run. Needs no torch."""

from __future__ import annotations

from typing import Any

from dlcvcli.config.load import differences, validate
from dlcvcli.config.schema import EXTENDABLE_CHANGES, RESUMABLE_CHANGES, RunSettings
from dlcvcli.errors import ConfigError


def require_same_settings(stored: dict[str, Any], settings: RunSettings, *, extend: bool) -> None:
    """Refuse to resume with settings that would change the results.

    Args:
        stored: the settings that the run was started with, as plain types.
        settings: the settings that it is resumed with.
        extend: whether the keys in `EXTENDABLE_CHANGES` may change.

    Raises:
        ConfigError: other keys differ; lists them with both values.
    """
    before = validate(type(settings), stored, {"": "the run's checkpoint"})
    allowed = RESUMABLE_CHANGES | (EXTENDABLE_CHANGES if extend else frozenset())
    changed = {k: v for k, v in differences(before, settings).items() if k not in allowed}
    if not changed:
        return
    listed = "; ".join(f"{key}: {old} -> {new}" for key, (old, new) in changed.items())
    raise ConfigError(
        f"the run was started with other settings ({listed})",
        "add --extend to change how long the run trains"
        if changed.keys() <= EXTENDABLE_CHANGES
        else "resume without these changes, or start a new run with --init CKPT",
    )
