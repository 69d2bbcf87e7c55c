"""The images that a user names for prediction: files, folders, or a list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from dlcvcli.data.left_out import describe_unread
from dlcvcli.data.reading import is_image
from dlcvcli.errors import DataError


def find_images(
    inputs: Iterable[str],
    stdin: Iterable[str] = (),
    *,
    say: Callable[[str], None] = lambda line: None,
) -> list[Path]:
    """Return the image files that the inputs name: files, folders, or `-` for a list on stdin.

    A folder gives the images in it, not those of its sub-folders; `say` is given a line on files
    of it whose format is not read.

    Raises:
        DataError: a path does not exist, a folder holds no image, or nothing was named.
    """
    paths: list[Path] = []
    for text in inputs:
        names = [line.strip() for line in stdin] if text == "-" else [text]
        for path in (Path(name) for name in names if name):
            if path.is_dir():
                images = sorted(p for p in path.iterdir() if p.is_file() and is_image(p))
                unread = describe_unread(path)
                if not images:
                    raise DataError(f"folder {path} holds no image that can be read", unread)
                if unread:
                    say(unread)
                paths += images
            elif path.is_file():
                paths.append(path)
            else:
                raise DataError(f"image {path} does not exist")
    if not paths:
        raise DataError(
            "no image was named", "give image files, a folder, or - with a list on stdin"
        )
    return list(dict.fromkeys(paths))
