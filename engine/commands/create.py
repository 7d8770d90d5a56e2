"""`seedwright create`: make a .torrent of a file or a folder."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import rich_click as click

from engine.commands import options
from engine.commands.help import command, option
from engine.commands.output import say_facts, say_json
from engine.commands.progress import Display
from engine.core.metainfo import MAX_PIECE_LENGTH, Metainfo
from engine.errors import InputError, StorageError
from engine.setting_kinds import PowerOfTwo
from engine.storage.creator import MIN_PIECE_LENGTH
from engine.storage.creator import create as describe
from tui.format import duration, percent, plural, rate, size

CREATED_BY = "seedwright 0.1.0"
SCHEMES = ("http", "https", "udp")


@command(
    "create",
    examples=(
        ("seedwright create photos --tracker udp://tracker.example:6969", "One tracker"),
        (
            "seedwright create photos --tracker udp://a.example:80,udp://b.example:80",
            "A tier of two, asked in any order",
        ),
        (
            "seedwright create disk.iso -o iso.torrent --piece-length 4MiB --private",
            "For a private tracker",
        ),
    ),
)
@click.argument("path", type=options.FILE, help="The file or the folder to describe.")
@options.together(
    option(
        "-o",
        "--output",
        type=options.FILE,
        metavar="FILE",
        default_text="NAME.torrent here",
        help="The .torrent to write.",
    ),
    option("--force", is_flag=True, help="Replace the .torrent if it is there."),
    option(
        "--tracker",
        "trackers",
        multiple=True,
        metavar="URL[,URL]…",
        default_text="none",
        help="A tier of trackers (http, https, udp): those of the first are asked in any order, "
        "the next tier when they fail. May be repeated.",
    ),
    option(
        "--piece-length",
        type=options.Parsed(PowerOfTwo(MIN_PIECE_LENGTH, MAX_PIECE_LENGTH)),
        metavar="SIZE",
        default_text="about 2,000 pieces",
        help="A power of two from 16KiB to 64MiB.",
    ),
    option("--private", is_flag=True, help="Peers are found through the trackers only (BEP 27)."),
    option(
        "--comment",
        default="",
        metavar="TEXT",
        default_text="none",
        help="A text for who opens it.",
    ),
    option(
        "--source",
        default="",
        metavar="TEXT",
        default_text="none",
        help="A mark that changes the info-hash, which some private trackers ask for.",
    ),
    option("--skip-hidden", is_flag=True, help="Leave out names that begin with a dot."),
    options.json_option,
)
def create(
    path: Path,
    output: Path | None,
    force: bool,
    trackers: tuple[str, ...],
    piece_length: int | None,
    private: bool,
    comment: str,
    source: str,
    skip_hidden: bool,
    as_json: bool,
) -> None:
    """Make a torrent of a file or a folder.

    The content is read once, with one thread for each processor core. A file that changes meanwhile
    is an error.
    """
    tiers = [_tier(text) for text in trackers]
    content = path
    target = output or Path(f"{content.resolve().name}.torrent")
    if not force and target.exists():
        raise InputError(f"{target} is there already: --force replaces it")
    began_at = time.monotonic()

    with Display() as display:

        def progress(done: int, total: int) -> None:
            seconds = max(time.monotonic() - began_at, 0.001)
            left = duration((total - done) * seconds / done) if done else ""
            share = done / total if total else 1.0
            text = f"hashing {percent(share, 1)}  {size(done)}  {rate(done / seconds)}"
            display.show(share, f"{text}  {left} left" if left else text)

        metainfo = describe(
            content,
            piece_length=piece_length,
            trackers=tiers,
            private=private,
            source=source,
            comment=comment,
            created_by=CREATED_BY,
            created_at=int(time.time()),
            include_hidden=not skip_hidden,
            progress=None if as_json else progress,
        )
    write_torrent(target, metainfo.encode(), replace=force)
    _tell(target, metainfo, as_json=as_json)


def write_torrent(target: Path, data: bytes, *, replace: bool) -> None:
    """Write a whole file or none. Raises StorageError, and InputError for one that is there."""
    new = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        try:
            new.write_bytes(data)
            if replace:
                os.replace(new, target)
            else:
                os.link(new, target)  # unlike a rename, it never replaces
        except FileExistsError as error:
            raise InputError(f"{target} is there already: --force replaces it") from error
        finally:
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
    except OSError as error:
        raise StorageError.from_os_error(error, f"writing {target}") from error


def _tier(text: str) -> list[str]:
    tier = [url.strip() for url in text.split(",") if url.strip()]
    for url in tier:
        try:
            parts = urlsplit(url)
            is_address = parts.scheme in SCHEMES and bool(parts.hostname)
        except ValueError:
            is_address = False
        if not is_address:
            raise InputError(f"--tracker: {url!r} is no http, https or udp address")
    if not tier:
        raise InputError("--tracker: an address is missing")
    return tier


def _tell(target: Path, metainfo: Metainfo, *, as_json: bool) -> None:
    info = metainfo.info
    files = sum(not file.is_pad for file in info.files)
    if as_json:
        say_json(
            {
                "torrent": str(target),
                "info_hash": str(info.info_hash),
                "name": info.name,
                "size": info.total_length,
                "files": files,
                "piece_length": info.piece_length,
                "piece_count": info.geometry.piece_count,
            }
        )
        return
    pieces = plural(info.geometry.piece_count, "piece")
    say_facts(
        [
            ("torrent", str(target)),
            ("info-hash", str(info.info_hash)),
            ("content", f"{info.name}, {plural(files, 'file')}"),
            ("size", f"{size(info.total_length)} ({info.total_length:,} bytes)"),
            ("pieces", f"{pieces} of {size(info.piece_length)}"),
        ]
    )
