"""The only way from the interface to the engine: connects, retries, subscribes, asks, commands.

Invariant: nothing here touches a widget; what arrives is posted as a message that is complete in
itself, and every command ends with its reply or with one of engine/errors.py. It is also the only
module that imports engine.control: the others get the names of the schema's values from here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final

import aiofiles
from textual.message import Message

from engine.control import schema
from engine.control.client import ControlClient
from engine.control.schema import (
    Delta,
    FileRow,
    LogLine,
    PeerRow,
    SessionStatus,
    Snapshot,
    TorrentInfo,
    TorrentRow,
    TrackerRow,
)
from engine.engine_address import EngineAddress
from engine.errors import AccessRefused, EngineUnreachable, SeedwrightError, SourceError
from tui.actions import named
from tui.file_tree import HIGH, NORMAL, SKIP, as_words
from tui.keymap import first_key
from tui.messages import DetailsChanged, LinkDown, LinkUp, WindowChanged
from tui.source import save_folder, source_of
from tui.store import Query, Span, Window

__all__ = [
    "Delta",
    "Details",
    "EngineAddress",
    "FileRow",
    "Link",
    "LogLine",
    "PeerRow",
    "SessionStatus",
    "Snapshot",
    "Topic",
    "TorrentInfo",
    "TorrentRow",
    "TrackerRow",
]

CLIENT: Final = "seedwright interface"
LARGEST_TORRENT_BYTES: Final = 32 * 1024 * 1024
"""Of a .torrent file that is sent along; the engine's own line limit lies above its base64."""

HERE_DELAY_S: Final = 5.0
ELSEWHERE_DELAY_S: Final = 60.0
"""Longest pauses between tries to connect; each try at a far host is a login in its log."""
ANSWER_S: Final = 6.0
"""A command waits so long for a connection to an engine here; a try to connect takes five."""
REFUSED_DELAY_S: Final = 300.0
"""Where we were not let in; hosts lock out who tries that often."""

Details = TorrentInfo | list[FileRow] | list[PeerRow] | list[TrackerRow] | list[LogLine]


class Topic(Enum):
    """The tabs of the details, by what they ask."""

    OVERVIEW = "overview"
    FILES = "files"
    PEERS = "peers"
    TRACKERS = "trackers"
    LOG = "log"


_QUESTIONS: Final[dict[Topic, Callable[[str], schema.Request]]] = {
    Topic.OVERVIEW: lambda torrent: schema.GetTorrent(torrent=torrent),
    Topic.FILES: lambda torrent: schema.GetFiles(torrent=torrent),
    Topic.PEERS: lambda torrent: schema.GetPeers(torrent=torrent),
    Topic.TRACKERS: lambda torrent: schema.GetTrackers(torrent=torrent),
    Topic.LOG: lambda torrent: schema.GetLog(torrent=torrent),
}


class Link:
    """One engine, wherever it is. `run` it as one task for as long as the app lives."""

    def __init__(
        self,
        address: EngineAddress,
        name: str = "",
        *,
        interval_s: float = 0.5,
        poll_s: float = 1.0,
        first_delay_s: float = 0.25,
        longest_delay_s: float | None = None,
    ) -> None:
        self.address = address
        self.name = name
        """What people call it, where there are several."""
        self._interval_s = interval_s
        self._poll_s = poll_s
        self._first_delay_s = first_delay_s
        usual_s = HERE_DELAY_S if self.is_here else ELSEWHERE_DELAY_S
        self._longest_delay_s = usual_s if longest_delay_s is None else longest_delay_s
        self._client: ControlClient | None = None
        self._query = Query()
        self._span = Span()
        self._view_changed = asyncio.Event()
        self._watched: tuple[str, Topic] | None = None
        self._watch_changed = asyncio.Event()
        self._told: Details | None = None
        """What was posted last of what is watched now."""
        self._retry_now = asyncio.Event()
        self._tried = asyncio.Event()
        """Set when a try to connect is over."""

    @property
    def is_here(self) -> bool:
        """Its folders are those of this machine."""
        return isinstance(self.address, Path)

    @property
    def is_up(self) -> bool:
        return self._client is not None

    # ── what to tell ──

    def show(self, query: Query, span: Span) -> None:
        """Subscribe to these rows from now on; changes in quick succession cost one request."""
        if (query, span) != (self._query, self._span):
            self._query, self._span = query, span
            self._view_changed.set()

    def rest(self) -> None:
        """Ask for the engine's figures only: nobody looks at its torrents."""
        self.show(Query(), Span(0, 0))
        self.watch(None, Topic.OVERVIEW)

    def watch(self, info_hash: str | None, topic: Topic) -> None:
        """Post one torrent's details of this topic now and whenever they change; None stops it."""
        watched = None if info_hash is None else (info_hash, topic)
        if watched != self._watched:
            self._watched = watched
            self._told = None  # who looks elsewhere and back has forgotten it
            self._watch_changed.set()

    def look_again(self) -> None:
        """Post the watched details at once: a command has changed them."""
        self._watch_changed.set()

    def retry(self) -> None:
        """Try to connect now instead of after the pause."""
        self._retry_now.set()

    # ── the connection ──

    async def run(self, post: Callable[[Message], object]) -> None:
        """Stay connected until cancelled; pauses between tries double up to the longest."""
        delay_s = self._first_delay_s
        while True:
            try:
                client = await ControlClient.connect(self.address, client=CLIENT)
            except SeedwrightError as error:
                post(LinkDown(str(error)))
                self._tried.set()
                if isinstance(error, AccessRefused):
                    delay_s = REFUSED_DELAY_S
            else:
                delay_s = self._first_delay_s
                post(LinkDown(await self._stay(client, post)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._retry_now.wait()
            self._retry_now.clear()
            delay_s = min(2 * delay_s, self._longest_delay_s)

    async def _stay(self, client: ControlClient, post: Callable[[Message], object]) -> str:
        """Serve one connection; return why it ended."""
        async with client:
            self._client = client
            self._tried.set()
            post(LinkUp(client.hello.engine))
            subscription = _Subscription(client, self._interval_s)
            # No TaskGroup: in Python 3.11 one that fails forgets that it was cancelled as well.
            tasks = [
                asyncio.create_task(self._subscribe(subscription)),
                asyncio.create_task(self._listen(subscription, post)),
                asyncio.create_task(self._poll(client, post)),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._client = None
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        errors = [error for task in tasks if not task.cancelled() and (error := task.exception())]
        for error in errors:
            if not isinstance(error, SeedwrightError):
                raise error
        return str(errors[0]) if errors else "the connection ended"

    async def _subscribe(self, subscription: _Subscription) -> None:
        while True:
            self._view_changed.clear()
            await subscription.show(self._query, self._span)
            await self._view_changed.wait()

    async def _listen(self, subscription: _Subscription, post: Callable[[Message], object]) -> None:
        window: Window | None = None
        status: SessionStatus | None = None
        async for note in subscription.client.notifications():
            if isinstance(note, Snapshot):
                window, status = Window.of(note), note.status
            elif window is not None:
                window, status = window.after(note), note.status or status
                if window is None:
                    self._view_changed.set()
            if window is not None and status is not None:
                post(WindowChanged(window, status))
        raise EngineUnreachable("the connection ended")

    async def _poll(self, client: ControlClient, post: Callable[[Message], object]) -> None:
        self._told = None
        while True:
            self._watch_changed.clear()
            watched = self._watched
            if watched is not None:
                info_hash, topic = watched
                details: Details | None = None
                try:
                    details = await client.call(_QUESTIONS[topic](info_hash))
                except EngineUnreachable:
                    raise
                except SeedwrightError:
                    pass  # the torrent is gone; the list will say so
                if details is not None and watched == self._watched and details != self._told:
                    self._told = details
                    post(DetailsChanged(info_hash, topic, details))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s if watched else None):
                    await self._watch_changed.wait()

    # ── commands; each raises what the engine raised, or EngineUnreachable ──

    async def _call(self, request: schema.Request) -> Any:
        if self._client is None:
            await self._knock()
        if self._client is None:
            key = "" if self.is_here else f"; {first_key(named('retry'))} tries now"
            raise EngineUnreachable(f"the engine is not reachable{key}")
        reply = await self._client.call(request)
        self.look_again()
        return reply

    async def _knock(self) -> None:
        """See whether an engine here is back. At a far host a try is a login: only who asks for it
        makes one."""
        if self.is_here:
            self._tried.clear()
            self.retry()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    await self._tried.wait()

    async def add(
        self, source: str, save_path: str = "", *, paused: bool = False, pick: bool = False
    ) -> TorrentRow:
        """Add a .torrent file (read here), a URL or a magnet link (both fetched by the engine);
        with `pick` it waits when its files are known. Raises InputError."""
        where = source_of(source)
        metainfo = None if isinstance(where, str) else await _read_torrent(where)
        request = schema.AddTorrent(
            metainfo=metainfo,
            source=where if isinstance(where, str) else None,
            save_path=save_folder(save_path, is_here=self.is_here),
            paused=paused,
            pick=pick,
        )
        row: TorrentRow = await self._call(request)
        return row

    async def info_of(self, torrent: str) -> TorrentInfo:
        info: TorrentInfo = await self._call(schema.GetTorrent(torrent=torrent))
        return info

    async def files_of(self, torrent: str) -> list[FileRow]:
        """Its files; none while they are not known."""
        rows: list[FileRow] = await self._call(schema.GetFiles(torrent=torrent))
        return rows

    async def set_files(self, torrent: str, levels: Mapping[int, str]) -> None:
        """Give files, by their numbers, a priority."""

        def named(level: str) -> list[str]:
            numbers = [number for number, told in levels.items() if told == level]
            return [as_words(numbers)] if numbers else []

        request = schema.SetFiles(
            torrent=torrent, skip=named(SKIP), normal=named(NORMAL), high=named(HIGH)
        )
        await self._call(request)

    async def pause(self, torrents: Sequence[str]) -> None:
        await self._call(schema.Pause(torrents=list(torrents)))

    async def resume(self, torrents: Sequence[str]) -> None:
        await self._call(schema.Resume(torrents=list(torrents)))

    async def recheck(self, torrents: Sequence[str]) -> None:
        await self._call(schema.Recheck(torrents=list(torrents)))

    async def add_peer(self, torrents: Sequence[str], peer: str) -> None:
        """Connect to HOST:PORT, now and whenever it is lost; the engine looks a name up."""
        await self._call(schema.AddPeer(torrents=list(torrents), peer=peer))

    async def announce(self, torrents: Sequence[str]) -> None:
        await self._call(schema.Announce(torrents=list(torrents)))

    async def remove(self, torrents: Sequence[str], *, delete_data: bool) -> None:
        await self._call(schema.Remove(torrents=list(torrents), delete_data=delete_data))

    async def set_limits(self, torrents: Sequence[str] | None, down: int, up: int) -> None:
        """Limit each of these torrents, or with None the session; bytes a second, 0 lifts it."""
        for torrent in [None] if torrents is None else torrents:
            await self._call(schema.SetLimits(torrent=torrent, down=down, up=up))

    async def limits_of(self, torrent: str) -> tuple[int, int]:
        info: TorrentInfo = await self._call(schema.GetTorrent(torrent=torrent))
        return info.down_limit, info.up_limit

    async def everything(self) -> list[TorrentRow]:
        rows: list[TorrentRow] = await self._call(schema.ListTorrents())
        return rows

    async def shut_down(self) -> None:
        await self._call(schema.Shutdown())


class _Subscription:
    """The one subscription of a connection, opened once and then changed."""

    def __init__(self, client: ControlClient, interval_s: float) -> None:
        self.client = client
        self._interval_s = interval_s
        self._id: int | None = None

    async def show(self, query: Query, span: Span) -> None:
        view = schema.View(
            states=[schema.TorrentState(query.state)] if query.state else [],
            text=query.text,
            sort=schema.Sort(query.sort),
            descending=query.descending,
            offset=span.offset,
            limit=span.limit,
        )
        request = schema.Subscribe(view=view, interval_s=self._interval_s, id=self._id)
        reply: schema.Subscribe.Reply = await self.client.call(request)
        self._id = reply.id


async def _read_torrent(path: Path) -> bytes:
    try:
        async with aiofiles.open(path, "rb") as file:
            data: bytes = await file.read(LARGEST_TORRENT_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SourceError(f"cannot read {path}: {reason or error}") from error
    if len(data) > LARGEST_TORRENT_BYTES:
        raise SourceError(f"{path} is too large for a .torrent file")
    return data
