"""Which images a model was trained on and which its run validated on, by fingerprint.

A model carries this record in its checkpoint and its ONNX file, so that a set is recognised by its
images, wherever it lies and whatever its files are called.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dlcvcli.errors import DataError, UsageError

# Bytes of SHA-256 that are kept of an image. Of a million images, any two are alike by chance with
# a probability of 3e-8; a record of them takes 11 MB as text.
LENGTH = 8


def image_digest(sha256: bytes) -> bytes:
    """Return what is kept of an image file's SHA-256."""
    return sha256[:LENGTH]


def digest_of(content: bytes) -> bytes:
    """Return what identifies an image file, from its bytes."""
    return image_digest(hashlib.sha256(content).digest())


@dataclass(frozen=True)
class SeenImages:
    """The images of a model's training, as `digest_of` their files.

    Attributes:
        trained: those that its weights were trained on, with those of the weights it began from.
        validated: those that its run was validated on, one entry an image.
        tested: those that its run is tested on at its end, where it has such a split.
        complete: False where the weights that the run began from do not say what they were
            trained on, so that `trained` may lack some.
    """

    trained: frozenset[bytes]
    validated: tuple[bytes, ...]
    tested: tuple[bytes, ...] = ()
    complete: bool = True

    @property
    def leaked(self) -> int:
        """How many of the validation images were trained on."""
        return self.count_trained(self.validated)

    def count_trained(self, digests: Sequence[bytes]) -> int:
        """Return how many of some images were trained on."""
        return sum(digest in self.trained for digest in digests)

    def require_apart(self, root: object) -> None:
        """Refuse to validate on exactly the images that are trained on.

        Raises:
            DataError: names the set.
        """
        if self.trained == set(self.validated):
            raise DataError(
                f"the validation images of {root} are its training images, all "
                f"{len(self.validated)} of them: their score would mean nothing",
                "put other images into one of the splits, or choose the splits with "
                "--set data.train_split=NAME and data.val_split",
            )

    def beginning_from(self, weights: SeenImages | None, source: str, *, allow: bool) -> SeenImages:
        """Return the record of this run when it begins from another's weights.

        Args:
            weights: the record of the other; None where it has none.
            source: how the user named it, e.g. `--init runs/first`.
            allow: whether the weights may have been trained on validation or test images.

        Raises:
            UsageError: they were, and may not.
        """
        if weights is None:
            return replace(self, complete=False)
        held_out = (*self.validated, *self.tested)
        seen = weights.count_trained(held_out)
        if seen and not allow:
            raise UsageError(
                f"{source} was trained on {seen} of the {len(held_out)} images that this run is "
                f"validated {'or tested ' if self.tested else ''}on: its scores would be too high",
                "split the set as that run did (the same --seed and data.holdout), or add "
                "--allow-seen to train all the same",
            )
        return replace(
            self,
            trained=self.trained | weights.trained,
            complete=self.complete and weights.complete,
        )

    def warnings(self) -> list[str]:
        """Return why scores of the run may be too high, line by line."""
        lines = [
            f"{self.count_trained(digests)} of the {len(digests)} {name} images were trained on: "
            f"the {name} score is too high"
            for name, digests in (("validation", self.validated), ("test", self.tested))
            if self.count_trained(digests)
        ]
        if not self.complete:
            lines.append(
                "it is not recorded what the weights that the run began from were trained on: if "
                "that was validation images, the score is too high"
            )
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return plain types: the digests of each part in one string, in base64."""
        parts = {
            "trained": sorted(self.trained),
            "validated": self.validated,
            "tested": self.tested,
        }
        texts = {name: base64.b64encode(b"".join(part)).decode() for name, part in parts.items()}
        return {**texts, "complete": self.complete}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SeenImages:
        """Make a record from plain types; the inverse of `as_dict`.

        Raises:
            KeyError, TypeError, ValueError: it is damaged.
        """
        trained, validated, tested = (
            _split(data[key]) for key in ("trained", "validated", "tested")
        )
        return cls(frozenset(trained), validated, tested, bool(data["complete"]))


def _split(text: str) -> tuple[bytes, ...]:
    content = base64.b64decode(text, validate=True)
    if len(content) % LENGTH:
        raise ValueError(f"{len(content)} bytes are no digests of {LENGTH} bytes each")
    return tuple(content[start : start + LENGTH] for start in range(0, len(content), LENGTH))
