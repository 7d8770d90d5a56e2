"""`seedwright show`: what a torrent or a magnet link says, for people and for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import rich_click as click

from engine.commands import options
from engine.commands.help import command
from engine.commands.output import date, say, say_facts, say_json, terminal_width
from engine.core.magnet import Magnet
from engine.core.metainfo import FileEntry, Metainfo
from engine.net.route import Route
from engine.session.source import is_url, load_torrent
from tui.format import NO_MAGNET, fit, plural, size


@command(
    "show",
    examples=(
        ("seedwright show debian.torrent", "Name, info-hash, trackers, files"),
        ("seedwright show 'magnet:?xt=urn:btih:…'", "What the link says"),
        ("seedwright show debian.torrent --json | jq -r .info_hash", "For a script"),
    ),
)
@click.argument("file", help="A .torrent file, the http(s) address of one, or a magnet link.")
@options.json_option
def show(file: str, as_json: bool) -> None:
    """Tell what is in a torrent: name, info-hash, magnet link, trackers, files.

    Of a magnet link it tells what that says itself; nobody is asked for the rest.
    """

    async def main() -> Metainfo | Magnet:
        # What is no address leads nowhere: it needs no settings that are right.
        route = (await options.load_route()) if is_url(file) else Route()
        return await load_torrent(file, route)

    found = asyncio.run(main())
    if isinstance(found, Magnet):
        if as_json:
            say_json(link_as_values(found))
        else:
            _tell_link(found)
    elif as_json:
        say_json(as_values(found))
    else:
        _tell(found)


def link_as_values(magnet: Magnet) -> dict[str, Any]:
    """What a link says, as plain values for JSON; named as those of a torrent are."""
    return {
        "name": magnet.name,
        "info_hash": str(magnet.info_hash),
        "magnet": str(magnet),
        "trackers": magnet.tiers,
        "peers": _peers(magnet),
        "web_seeds": magnet.web_seeds,
        "selected_files": magnet.selection,
    }


def _tell_link(magnet: Magnet) -> None:
    say_facts(
        [
            ("name", magnet.name or "not in the link"),
            ("info-hash", str(magnet.info_hash)),
            ("trackers", "\n".join(magnet.trackers) or "none"),
            ("peers", "\n".join(_peers(magnet))),
            ("web seeds", "\n".join(magnet.web_seeds)),
            ("files", f"numbers {magnet.selection}" if magnet.selected else "all"),
        ]
    )


def _peers(magnet: Magnet) -> list[str]:
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in magnet.peers]


def as_values(metainfo: Metainfo) -> dict[str, Any]:
    """Everything, as plain values for JSON."""
    info = metainfo.info
    return {
        "name": info.name,
        "info_hash": str(info.info_hash),
        "magnet": "" if info.is_private else str(Magnet.of(metainfo)),
        "size": info.total_length,
        "piece_length": info.piece_length,
        "piece_count": info.geometry.piece_count,
        "is_private": info.is_private,
        "is_single_file": info.is_single_file,
        "comment": metainfo.comment,
        "created_by": metainfo.created_by,
        "created_at": metainfo.created_at,
        "trackers": metainfo.trackers,
        "web_seeds": metainfo.web_seeds,
        "files": [
            {
                "path": "/".join(file.path),
                "size": file.length,
                "offset": file.offset,
                "is_pad": file.is_pad,
                "is_executable": file.is_executable,
                "is_hidden": file.is_hidden,
                "symlink": None if file.symlink is None else "/".join(file.symlink),
            }
            for file in info.files
        ],
    }


def _tell(metainfo: Metainfo) -> None:
    info = metainfo.info
    files = [file for file in info.files if not file.is_pad]
    pieces = plural(info.geometry.piece_count, "piece")
    say_facts(
        [
            ("name", info.name),
            ("info-hash", str(info.info_hash)),
            ("size", f"{size(info.total_length)} ({info.total_length:,} bytes)"),
            ("pieces", f"{pieces} of {size(info.piece_length)}"),
            ("private", "yes: peers come from its trackers only" if info.is_private else "no"),
            ("comment", metainfo.comment),
            (
                "created",
                " ".join(
                    part
                    for part in (
                        date(metainfo.created_at),
                        f"by {metainfo.created_by}" if metainfo.created_by else "",
                    )
                    if part
                ),
            ),
            ("trackers", "\n".join(_tiers(metainfo)) or "none"),
            ("web seeds", "\n".join(metainfo.web_seeds)),
            ("magnet", NO_MAGNET if info.is_private else str(Magnet.of(metainfo))),
        ]
    )
    say()
    say(plural(len(files), "file"))
    width = terminal_width() or 0
    numbers = {file.path: str(number) for number, file in enumerate(info.files) if not file.is_pad}
    digits = max(map(len, numbers.values()), default=1)
    for line, file in tree(files):
        text = size(file.length) if file else ""
        number = numbers[file.path] if file else ""
        if width:
            room = max(10, width - 14 - digits)
            say(f"{number:>{digits}}  {fit(line, room)}  {text:>10}".rstrip())
        else:
            say(f"{number:>{digits}}  {line}  {text}".rstrip())


def _tiers(metainfo: Metainfo) -> Iterator[str]:
    for tier in metainfo.trackers:
        yield "  ".join(tier)


def tree(files: list[FileEntry]) -> Iterator[tuple[str, FileEntry | None]]:
    """Yield a line for each folder, with None, and each file, with itself, as a tree."""
    root: dict[str, Any] = {}
    for file in files:
        folder = root
        for name in file.path[:-1]:
            folder = folder.setdefault(name, {})
        folder[file.path[-1]] = file
    # Not recursive: a path may have more elements than Python likes calls.
    stack = [("", _with_last(root))]
    while stack:
        inside, entries = stack[-1]
        for name, entry, is_last in entries:
            mark = "" if len(stack) == 1 else "└─ " if is_last else "├─ "
            if isinstance(entry, FileEntry):
                target = "" if entry.symlink is None else f" → {'/'.join(entry.symlink)}"
                run = " (executable)" if entry.is_executable else ""
                yield f"{inside}{mark}{name}{run}{target}", entry
                continue
            yield f"{inside}{mark}{name}/", None
            below = "" if len(stack) == 1 else "   " if is_last else "│  "
            stack.append((inside + below, _with_last(entry)))
            break
        else:
            stack.pop()


def _with_last(folder: dict[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    for number, (name, entry) in enumerate(folder.items(), 1):
        yield name, entry, number == len(folder)
