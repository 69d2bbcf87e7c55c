"""A small Pascal VOC devkit, and archives of it."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from dlcvcli.data.download import PublicSet, digests
from dlcvcli.data.masks import encode_mask
from dlcvcli.palette import PRESETS

SPLITS = {"train": ("2007_000032", "2007_000039"), "val": ("2007_000033",)}


def voc_files(top: str = "VOCdevkit/VOC2012") -> dict[str, bytes]:
    """Return name -> bytes of a devkit of three images."""
    rng = np.random.default_rng(0)
    files = {}
    for split, names in SPLITS.items():
        listed = "".join(f"{name}\n" for name in names)
        files[f"{top}/ImageSets/Segmentation/{split}.txt"] = listed.encode()
        for name in names:
            content = io.BytesIO()
            Image.fromarray(rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)).save(
                content, "JPEG"
            )
            files[f"{top}/JPEGImages/{name}.jpg"] = content.getvalue()
            files[f"{top}/SegmentationClass/{name}.png"] = _mask(rng)
    return files


def _mask(rng: np.random.Generator) -> bytes:
    mask = rng.integers(0, 21, (12, 16)).astype(np.uint8)
    return encode_mask(mask, PRESETS["voc21"])


def write_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    """Write a tar file; `mode` as of `tarfile.open`."""
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_zip(path: Path, files: dict[str, bytes]) -> Path:
    """Write a zip file."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def as_published(path: Path, urls: tuple[str, ...]) -> PublicSet:
    """Return the set whose archive is this file."""
    md5, sha256 = digests(path)
    counts = {split: len(names) for split, names in SPLITS.items()}
    return PublicSet(
        *("voc2012", "synthetic VOC", "voc.tar", urls, path.stat().st_size, md5, sha256),
        *("VOCdevkit/VOC2012", counts),
    )
