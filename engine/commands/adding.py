"""`seedwright add` and `add-peer`: torrents for a running engine, and peers for its torrents."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import msgspec
import rich_click as click

from engine.commands import options
from engine.commands.connection import complete_torrents, engine_at
from engine.commands.help import command, option
from engine.commands.output import say, say_json
from engine.commands.waiting import first_state
from engine.control.client import ControlClient
from engine.control.schema import (
    Accepted,
    AddPeer,
    AddTorrent,
    GetTorrent,
    TorrentInfo,
    TorrentRow,
    TorrentState,
)
from engine.core.magnet import Magnet, is_magnet
from engine.engine_address import EngineAddress, Program
from engine.errors import (
    BencodeError,
    EngineUnreachable,
    InputError,
    MetainfoError,
    SeedwrightError,
    SourceError,
    StorageError,
)
from engine.session.peer_names import as_address
from tui.format import plural, size

MAX_TORRENT_BYTES = 32 * 1024 * 1024
BEGINNING_S = 2.0
"""So long `add` waits for what becomes of its torrents; a check of what is there may take longer.
"""
URL_SCHEMES = ("http://", "https://")


@command(
    "add",
    examples=(
        ("seedwright add debian.torrent", "Download to where the settings say"),
        ("seedwright add *.torrent --save-path ~/iso --paused", "Several, elsewhere, later"),
        ("seedwright add https://example.org/debian.torrent", "The engine fetches it"),
        ("seedwright add 'magnet:?xt=urn:btih:…'", "In quotes, because of its &"),
        ("seedwright add show.torrent --only '*.mkv' --skip 3-5", "Some of its files"),
    ),
)
@click.argument(
    "sources",
    nargs=-1,
    required=True,
    metavar="SOURCE...",
    help="A .torrent file, the http(s) address of one, or a magnet link.",
)
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
        "--pick",
        is_flag=True,
        help="Pause it as soon as its files are known, so that you can choose.",
        panel="Files",
    ),
    *options.file_options,
    option(
        "--preallocate/--sparse",
        default=None,
        default_text="the setting storage.preallocate",
        help="Reserve the space at once, or as it fills.",
    ),
    options.engine_option,
    options.json_option,
)
def add(
    sources: tuple[str, ...],
    save_path: Path | None,
    peers: tuple[str, ...],
    paused: bool,
    pick: bool,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    high: tuple[str, ...],
    preallocate: bool | None,
    engine: str | None,
    as_json: bool,
) -> None:
    """Add torrents to the engine and start them; the options are for all of them.

    FILES are numbers as `files` and `show` list them (0,2,4-6), folders, or patterns (quote them).
    Of a magnet link they are heeded once its files are known; those that it selects itself count
    where nothing else is said. The .torrent of a link that is there completes it.

    A torrent that it refuses is an error that says why. So is one that cannot begin, say where its
    folder cannot be written (exit code 5): that one stays in the list. The others are added all the
    same; the exit code is that of the first error. Of several, JSON is a list of what was added.
    """

    async def main() -> None:
        address = await options.find_engine(engine)
        request = AddTorrent(
            save_path=_folder(save_path, address),
            peers=[str(peer) for peer in await options.resolve_peers(peers)],
            paused=paused,
            preallocate=preallocate,
            only=list(only),
            skip=list(skip),
            high=list(high),
            pick=pick,
        )
        failures: list[SeedwrightError] = []
        rows = []
        async with contextlib.AsyncExitStack() as stack:
            adding = _Adding(request, address, stack)
            for source in sources:
                try:
                    row = await adding.add(source)
                    rows.append(row)
                    if not as_json:
                        await adding.tell(source, row)
                except SeedwrightError as error:
                    failures.append(error)
                    if isinstance(error, EngineUnreachable):
                        break
        if as_json and len(sources) > 1:
            say_json(rows)
        elif as_json and rows:
            say_json(rows[0])
        if failures:
            raise ExceptionGroup("not all could be added", failures)

    asyncio.run(main())


class _Adding:
    """Adds one torrent after the other; connects when the first of them can be asked for."""

    def __init__(
        self, request: AddTorrent, address: EngineAddress, stack: contextlib.AsyncExitStack
    ) -> None:
        self._request = request
        self._address = address
        self._stack = stack
        self._client: ControlClient | None = None
        self._patience_s = BEGINNING_S

    async def add(self, source: str) -> TorrentRow:
        """Return what becomes of the torrent. Raises SeedwrightError: it was not added, or cannot
        begin."""
        if is_magnet(source):
            Magnet.parse(source)  # what is wrong with it is known before an engine is asked
        is_asked = source.startswith(URL_SCHEMES) or is_magnet(source)
        request = msgspec.structs.replace(
            self._request,
            metainfo=None if is_asked else await asyncio.to_thread(read_torrent, source),
            source=source if is_asked else None,
        )
        if self._client is None:
            self._client = await self._stack.enter_async_context(engine_at(self._address))
        try:
            row: TorrentRow = await self._client.call(request, timeout_s=None)
        except (MetainfoError, BencodeError) as error:
            raise type(error)(f"{source}: {error}") from error
        if self._patience_s > 0:
            asked_at = time.monotonic()
            row = await first_state(self._client, row, timeout_s=self._patience_s)
            self._patience_s -= time.monotonic() - asked_at
        if row.state is TorrentState.ERROR:
            raise StorageError(f"{row.name} is added, but cannot begin: {row.error}")
        return row

    async def tell(self, source: str, row: TorrentRow) -> None:
        """Say what was added, and into which folder."""
        assert self._client is not None  # or there were no row
        info: TorrentInfo = await self._client.call(GetTorrent(torrent=row.info_hash))
        # Of a magnet link nothing but the name is known yet.
        amount = "" if is_magnet(source) else f" ({size(row.size)})"
        say(f"added {row.name}{amount} to {info.save_path}, {row.info_hash}")
        if self._request.pick:
            say(f"choose with `seedwright files {row.info_hash[:8]} …`, then `seedwright resume`")


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
    help="A name or an info-hash, or the beginning of one; and where the peer listens, HOST may be "
    "a name, which the engine looks up.",
    shell_complete=complete_torrents,
)
@options.together(
    option("--all", "is_all", is_flag=True, help="For all torrents, without TORRENT."),
    options.engine_option,
    options.json_option,
)
def add_peer(words: tuple[str, ...], is_all: bool, engine: str | None, as_json: bool) -> None:
    """Connect to a peer, now and whenever it is lost."""
    *torrents, address = words
    if len(torrents) != (0 if is_all else 1):
        raise click.UsageError("give TORRENT and HOST:PORT, or --all and HOST:PORT")
    as_address(address)  # what is wrong with it is known before an engine is asked

    async def main() -> Accepted:
        request = AddPeer(torrents=None if is_all else torrents, peer=address)
        async with engine_at(engine) as client:
            reply: Accepted = await client.call(request)
        return reply

    reply = asyncio.run(main())
    if as_json:
        say_json(reply)
    else:
        say(f"{address}: told to {plural(len(reply.info_hashes), 'torrent')}")


def _folder(save_path: Path | None, address: EngineAddress) -> str | None:
    if save_path is None:
        return None
    if isinstance(address, Program) and not save_path.is_absolute():
        raise InputError(f"{save_path}: name the whole path, as it is where {address} runs")
    return str(save_path.absolute())


def read_torrent(source: str) -> bytes:
    """Read a .torrent for the engine, which checks it. Raises SourceError, InputError."""
    path = Path(source.removeprefix("file://")).expanduser()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TORRENT_BYTES + 1)
    except OSError as error:
        raise SourceError.from_os_error(error, path) from error
    if len(data) > MAX_TORRENT_BYTES:
        raise InputError(f"{path}: too large to be a torrent")
    return data
