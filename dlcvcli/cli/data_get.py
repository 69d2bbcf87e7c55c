"""`dlcv data get`: public sets, downloaded or taken from an archive at hand."""

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

EPILOG = "dlcv data get voc2012 sets --from VOCtrainval_11-May-2012.tar"


def get(
    name: Annotated[Literal["voc2012"], typer.Argument(help="Which set.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to.", show_default=False)],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="The archive, tar or zip, instead of a download."),
    ] = None,
    any_archive: Annotated[
        bool, typer.Option("--any-archive", help="Take one that somebody packed anew.")
    ] = False,
) -> None:
    """Get a public set: Pascal VOC 2012, 2.0 GB (4 GB while it is unpacked).

    Run it again to go on with a download that was broken off.

    The archive is checked, and removed once its files are in place if it was downloaded.
    """
    from dlcvcli.cli.console import counting, say
    from dlcvcli.data.download import PUBLIC_SETS, download, install, installed, require_published

    wanted = PUBLIC_SETS[name]
    if any_archive and source is None:
        raise UsageError("--any-archive goes with --from FILE", "name the archive with --from")
    found = installed(wanted, folder)
    if found is not None:
        _tell(wanted, found, f"{wanted.title} is already there")
        return
    if source is not None and not any_archive:
        require_published(wanted, source)
    archive = source
    if archive is None:
        say(f"downloading {wanted.file}, {wanted.size / 1e9:.1f} GB, into {folder}")
        try:
            with counting("downloading (MB)") as progress:
                archive = download(wanted, folder, _in_megabytes(progress))
        except KeyboardInterrupt as error:
            raise Interrupted(
                signal.SIGINT, "the download was stopped", "run the command again to go on with it"
            ) from error
    with counting("unpacking (MB)") as progress:
        found = install(wanted, archive, folder, _in_megabytes(progress))
    if source is None:
        archive.unlink()
    _tell(wanted, found, wanted.title)


def _in_megabytes(progress: Progress) -> Progress:
    return lambda done, total: progress(done // 10**6, total // 10**6)


def _tell(wanted: PublicSet, found: Layout, what: str) -> None:
    """Say what there is, and what to do with it."""
    from shlex import quote

    from dlcvcli.cli.console import say, stdout

    stdout().print(f"{what}: {found.root}", markup=False, soft_wrap=True)
    stdout().print(found.describe(), markup=False)
    for split, count in wanted.splits.items():
        have = len(found.splits.get(split, ()))
        if have != count:
            say(f"split {split} has {have} images, and {count} as it was published")
    say(f"next: dlcv data stats {quote(str(found.root))}")
