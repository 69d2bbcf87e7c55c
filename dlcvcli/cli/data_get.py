"""`dlcv data get`: public sets, downloaded or from a local archive."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dlcvcli.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from dlcvcli.data.download import PublicSet
    from dlcvcli.data.layouts import Layout
    from dlcvcli.reporter import Progress

EPILOG = (
    "dlcv data get voc2012 sets\n\ndlcv data get voc2012 sets --from VOCtrainval_11-May-2012.tar"
)


def get(
    name: Annotated[Literal["voc2012"], typer.Argument(help="Name of the set.")],
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder that the set's own folder is put into.", show_default=False
        ),
    ],
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="FILE", help="Unpack this tar or zip file instead of downloading."
        ),
    ] = None,
    any_archive: Annotated[
        bool,
        typer.Option(
            "--any-archive",
            help="Accept a --from file that differs from the published archive, such as the devkit "
            "packed by somebody else.",
        ),
    ] = False,
) -> None:
    """Download and unpack a public set: Pascal VOC 2012, 2.0 GB (4 GB while unpacking).

    Run the command again to continue an interrupted download. The archive is checked before it is
    unpacked; a downloaded archive is removed afterwards.
    """
    from dlcvcli.cli.console import counting, say
    from dlcvcli.data.download import PUBLIC_SETS, download, install, installed, require_published

    wanted = PUBLIC_SETS[name]
    if any_archive and source is None:
        raise UsageError("--any-archive needs --from FILE", "name the archive with --from")
    layout = installed(wanted, folder)
    if layout is not None:
        _report(wanted, layout, f"{wanted.title} is already there")
        return
    if source is not None and not any_archive:
        require_published(wanted, source)
    archive = source
    if archive is None:
        say(f"downloading {wanted.file} ({wanted.size / 1e9:.1f} GB) to {folder}")
        try:
            with counting("downloading (MB)") as progress:
                archive = download(wanted, folder, _in_megabytes(progress))
        except KeyboardInterrupt as error:
            raise Interrupted(
                signal.SIGINT, "the download was stopped", "run the command again to continue it"
            ) from error
    with counting("unpacking (MB)") as progress:
        layout = install(wanted, archive, folder, _in_megabytes(progress))
    if source is None:
        archive.unlink()
    _report(wanted, layout, wanted.title)


def _in_megabytes(progress: Progress) -> Progress:
    return lambda done, total: progress(done // 10**6, total // 10**6)


def _report(wanted: PublicSet, layout: Layout, what: str) -> None:
    """Print the set's folder, its splits, and the next command."""
    from shlex import quote

    from dlcvcli.cli.console import say, stdout

    stdout().print(f"{what}: {layout.root}", markup=False, soft_wrap=True)
    stdout().print(layout.describe(), markup=False)
    for split, count in wanted.splits.items():
        present = len(layout.splits.get(split, ()))
        if present != count:
            say(f"split {split} has {present} images, but {count} as published")
    say(f"next: dlcv data stats {quote(str(layout.root))}")
