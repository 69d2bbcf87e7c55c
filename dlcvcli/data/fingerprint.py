"""The fingerprint of a set: one SHA-256 over the names and the contents of its samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from dlcvcli.files import as_bytes


def fingerprint(digests: Iterable[tuple[str, bytes]]) -> str:
    """Return the SHA-256 of a set, in hexadecimal.

    Args:
        digests: name and digest of each sample, in any order.
    """
    total = hashlib.sha256()
    for name, digest in sorted(digests):
        total.update(as_bytes(name) + b"\0" + digest)
    return total.hexdigest()
