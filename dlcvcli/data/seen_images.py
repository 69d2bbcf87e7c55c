"""The images that a model was trained, validated and tested on, by digest.

Checkpoints and ONNX files carry this record, so that a set is recognised by its images, whatever
its path and its file names.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dlcvcli.errors import DataError, UsageError

# Bytes of SHA-256 that are kept of an image. Among a million images, two have the same digest by
# chance with a probability of 3e-8; the record of a million images takes 11 MB as text.
LENGTH = 8


def image_digest(sha256: bytes) -> bytes:
    """Return the digest of an image file from its SHA-256: its first `LENGTH` bytes."""
    return sha256[:LENGTH]


def digest_of(content: bytes) -> bytes:
    """Return the digest that identifies an image file, from the file's bytes."""
    return image_digest(hashlib.sha256(content).digest())


@dataclass(frozen=True)
class SeenImages:
    """The images that a model has seen, each as the `digest_of` its file.

    Attributes:
        trained: images that the weights were trained on, including those of the weights that the
            run started from.
        validated: images that the run was validated on, one entry per image.
        tested: images that the run is tested on at its end, where it has a test split.
        complete: False where the weights that the run started from do not record what they were
            trained on, so that images may be missing from `trained`.
    """

    trained: frozenset[bytes]
    validated: tuple[bytes, ...]
    tested: tuple[bytes, ...] = ()
    complete: bool = True

    @property
    def leaked(self) -> int:
        """Number of validation images that were trained on."""
        return self.count_trained(self.validated)

    def count_trained(self, digests: Sequence[bytes]) -> int:
        """Return how many of the images were trained on."""
        return sum(digest in self.trained for digest in digests)

    def require_apart(self, root: object) -> None:
        """Refuse validation images that are exactly the training images.

        Args:
            root: the set, for the message.

        Raises:
            DataError: they are the same images.
        """
        if self.trained == set(self.validated):
            raise DataError(
                f"all {len(self.validated)} validation images of {root} are its training images: "
                "their score would mean nothing",
                "put other images into one of the splits, or choose the splits with "
                "--set data.train_split=NAME and --set data.val_split=NAME",
            )

    def beginning_from(self, weights: SeenImages | None, source: str, *, allow: bool) -> SeenImages:
        """Return the record of a run that starts from the weights of another run.

        Args:
            weights: the record of the other run; None where it has none.
            source: the weights as the user named them, e.g. `--init runs/first`.
            allow: accept weights that were trained on validation or test images of this run.

        Raises:
            UsageError: the weights were trained on such images, and `allow` is false.
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
                "--allow-seen to train anyway",
            )
        return replace(
            self,
            trained=self.trained | weights.trained,
            complete=self.complete and weights.complete,
        )

    def warnings(self) -> list[str]:
        """Return the reasons why scores of the run may be too high, one line each."""
        lines = [
            f"{self.count_trained(digests)} of the {len(digests)} {name} images were trained on: "
            f"the {name} score is too high"
            for name, digests in (("validation", self.validated), ("test", self.tested))
            if self.count_trained(digests)
        ]
        if not self.complete:
            lines.append(
                "it is not recorded what the weights that the run started from were trained on: "
                "if that was validation images, the score is too high"
            )
        return lines

    def as_dict(self) -> dict[str, Any]:
        """Return plain types: the digests of each part as one base64 string."""
        parts = {
            "trained": sorted(self.trained),
            "validated": self.validated,
            "tested": self.tested,
        }
        texts = {name: base64.b64encode(b"".join(part)).decode() for name, part in parts.items()}
        return {**texts, "complete": self.complete}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SeenImages:
        """Return the record that `as_dict` made plain types of.

        Raises:
            KeyError, TypeError, ValueError: the data is damaged.
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
