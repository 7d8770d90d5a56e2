"""`seedwright add` and `add-peer`: torrents for a running engine, and peers for its torrents."""

from __future__ import annotations

import asyncio
from pathlib import Path

import rich_click as click

from engine.commands import options
from engine.commands.connection import complete_torrents, engine_at
from engine.commands.help import command, option
from engine.commands.output import say, say_json
from engine.commands.waiting import first_state
from engine.control.schema import Accepted, AddPeer, AddTorrent, TorrentRow, TorrentState
from engine.core.magnet import Magnet, is_magnet
from engine.errors import BencodeError, InputError, MetainfoError, SourceError, StorageError
from tui.format import plural, size

MAX_TORRENT_BYTES = 32 * 1024 * 1024
BEGINNING_S = 2.0
"""So long `add` waits for what becomes of the torrent; a check of what is there may take longer."""
URL_SCHEMES = ("http://", "https://")


@command(
    "add",
    examples=(
        ("seedwright add debian.torrent", "Download to where the settings say"),
        ("seedwright add debian.torrent --save-path ~/iso --paused", "Elsewhere, later"),
        ("seedwright add https://example.org/debian.torrent", "The engine fetches it"),
        ("seedwright add 'magnet:?xt=urn:btih:…'", "In quotes, because of its &"),
    ),
)
@click.argument("source", help="A .torrent file, the http(s) address of one, or a magnet link.")
@options.together(
    option(
        "-o",
        "--save-path",
        type=options.FILE,
        metavar="DIR",
        default_text="the setting storage.save_path",
        help="Folder to save in.",
    ),
    options.peer_option,
    option("--paused", is_flag=True, help="Do not start it."),
    option(
        "--preallocate/--sparse",
        default=None,
        default_text="the setting storage.preallocate",
        help="Reserve the space at once, or as it fills.",
    ),
    options.socket_option,
    options.json_option,
)
def add(
    source: str,
    save_path: Path | None,
    peers: tuple[str, ...],
    paused: bool,
    preallocate: bool | None,
    socket_path: Path | None,
    as_json: bool,
) -> None:
    """Add a torrent to the engine, which starts at once.

    A torrent that it refuses is an error that says why. So is one that cannot begin, as where its
    folder cannot be written (exit code 5): that one stays in the list.
    """

    folder = None if save_path is None else str(save_path.absolute())

    async def main() -> TorrentRow:
        if is_magnet(source):
            Magnet.parse(source)  # what is wrong with it is known before an engine is asked
        is_asked = source.startswith(URL_SCHEMES) or is_magnet(source)
        metainfo = None if is_asked else await asyncio.to_thread(read_torrent, source)
        request = AddTorrent(
            metainfo=metainfo,
            source=source if is_asked else None,
            save_path=folder,
            peers=[str(peer) for peer in await options.resolve_peers(peers)],
            paused=paused,
            preallocate=preallocate,
        )
        async with engine_at(socket_path) as client:
            try:
                row: TorrentRow = await client.call(request, timeout_s=None)
            except (MetainfoError, BencodeError) as error:
                raise type(error)(f"{source}: {error}") from error
            return await first_state(client, row, timeout_s=BEGINNING_S)

    row = asyncio.run(main())
    if row.state is TorrentState.ERROR:
        raise StorageError(f"{row.name} is added, but cannot begin: {row.error}")
    if as_json:
        say_json(row)
    else:
        # Of a magnet link nothing but the name is known yet.
        amount = "" if is_magnet(source) else f" ({size(row.size)})"
        say(f"added {row.name}{amount}, {row.info_hash}")


@command(
    "add-peer",
    examples=(
        ("seedwright add-peer debian 192.0.2.7:6881", "For one torrent"),
        ("seedwright add-peer --all friend.example:6881", "For all of them"),
    ),
)
@click.argument(
    "words",
    nargs=-1,
    required=True,
    metavar="[TORRENT] HOST:PORT",
    shell_complete=complete_torrents,
)
@options.together(
    option("--all", "is_all", is_flag=True, help="For all torrents, without TORRENT."),
    options.socket_option,
    options.json_option,
)
def add_peer(words: tuple[str, ...], is_all: bool, socket_path: Path | None, as_json: bool) -> None:
    """Connect to a peer, now and whenever it is lost.

    TORRENT is a name or an info-hash, or the beginning of one; HOST:PORT is where the peer listens,
    and HOST may be a name.
    """
    *torrents, address = words
    if len(torrents) != (0 if is_all else 1):
        raise click.UsageError("give TORRENT and HOST:PORT, or --all and HOST:PORT")

    async def main() -> Accepted:
        peers = await options.resolve_peers([address])
        async with engine_at(socket_path) as client:
            for peer in peers:
                request = AddPeer(torrents=None if is_all else torrents, peer=str(peer))
                reply: Accepted = await client.call(request)
        return reply

    reply = asyncio.run(main())
    if as_json:
        say_json(reply)
    else:
        say(f"{address}: told to {plural(len(reply.info_hashes), 'torrent')}")


def read_torrent(source: str) -> bytes:
    """Read a .torrent for the engine, which checks it. Raises SourceError, InputError."""
    path = Path(source.removeprefix("file://")).expanduser()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TORRENT_BYTES + 1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if len(data) > MAX_TORRENT_BYTES:
        raise InputError(f"{path}: too large to be a torrent")
    return data
