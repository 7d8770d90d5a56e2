"""The real engine behind the control room's port: a Session seen as rows and requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from engine.control import schema
from engine.control.change_log import ChangeLog, Changes
from engine.control.dht_requests import DhtRequests, dht_row
from engine.control.filter_answers import filter_status, is_blocked
from engine.control.peer_source_rows import peer_source_rows
from engine.control.torrent_files import choose, file_rows
from engine.control.torrent_rows import (
    LiveBrief,
    peer_rows,
    torrent_info,
    torrent_row,
    tracker_row,
)
from engine.core.compact import Endpoint, endpoint, split_host_port
from engine.core.file_wishes import FileWishes
from engine.core.identifiers import VERSION, InfoHash
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.errors import InputError, UnknownTorrentError
from engine.session.health import check_health
from engine.session.peer_names import find_peers
from engine.session.session import Session
from engine.session.source import load_torrent, parse_torrent
from engine.torrent.torrent import Torrent


class SessionPort:
    """Implements EnginePort for a running Session."""

    def __init__(self, session: Session, shut_down: Callable[[], None]) -> None:
        self._session = session
        self._shut_down = shut_down
        self._log = ChangeLog()
        self._dht = DhtRequests(session.dht)
        session.on_change.append(lambda torrent: self._log.touch(torrent.info_hash.hex()))
        session.on_remove.append(lambda info_hash: self._log.remove(info_hash.hex()))
        for info_hash in session.torrents:
            self._log.touch(info_hash.hex())

    # ── what views ask ──────────────────────────────────────────────────────────────────────────

    def info_hashes(self) -> Collection[str]:
        return [info_hash.hex() for info_hash in self._session.torrents]

    @property
    def revision(self) -> int:
        return self._log.revision

    def changes(self, since: int) -> Changes:
        return self._log.since(since)

    def brief(self, info_hash: str) -> LiveBrief | None:
        torrent = self._find(info_hash)
        return None if torrent is None else LiveBrief(torrent)

    def row(self, info_hash: str) -> schema.TorrentRow | None:
        torrent = self._find(info_hash)
        return None if torrent is None else torrent_row(torrent)

    def _find(self, info_hash: str) -> Torrent | None:
        try:
            return self._session.torrents.get(InfoHash.parse(info_hash))
        except InputError:  # a name, or the beginning of a hash: `find_torrent` asks with those
            return None

    def status(self) -> schema.SessionStatus:
        session = self._session
        facilities = session.facilities
        return schema.SessionStatus(
            version=VERSION,
            started_at=session.started_at,
            listen=[str(endpoint) for endpoint in session.endpoints],
            torrents=len(session.torrents),
            peers=facilities.connections.open,
            down_rate=int(session.down_rate.rate),
            up_rate=int(session.up_rate.rate),
            downloaded=session.downloaded,
            uploaded=session.uploaded,
            down_limit=facilities.down.rate,
            up_limit=facilities.up.rate,
            disk_queue=facilities.disk.queue_length,
            is_isolated=facilities.limits.is_isolated,
            way_out=session.route.way_out,
            waiting=session.route.waiting,
            dht_nodes=session.dht.node_count if session.dht.is_running else None,
            reachability=facilities.reachability.verdict(facilities.loop.time()),
            external=[str(endpoint) for endpoint in facilities.our_endpoints()],
            port_mapping=str(session.reaching.mapper.mapping),
        )

    async def health(self) -> list[schema.HealthCheck]:
        return [
            schema.HealthCheck(name=check.name, is_ok=check.is_ok, text=check.text)
            for check in await check_health(self._session)
        ]

    # ── one torrent ─────────────────────────────────────────────────────────────────────────────

    def info(self, info_hash: str) -> schema.TorrentInfo:
        torrent = self._torrent(info_hash)
        told = self._session.load_metainfo(torrent.info_hash) if torrent.has_info else None
        return torrent_info(torrent, told)

    def files(self, info_hash: str) -> list[schema.FileRow]:
        return file_rows(self._torrent(info_hash))

    def peers(self, info_hash: str) -> list[schema.PeerRow]:
        return peer_rows(self._torrent(info_hash))

    def trackers(self, info_hash: str) -> list[schema.TrackerRow]:
        torrent = self._torrent(info_hash)
        announcer = torrent.announcer
        now = self._session.facilities.loop.time()
        rows = [
            tracker_row(announcer.trackers[url], tier, now)
            for tier, urls in enumerate(announcer.tiers.tiers)
            for url in urls
        ]
        if self._session.dht.is_running:
            rows.append(dht_row(self._session, torrent))
        return [*rows, *peer_source_rows(self._session, torrent)]

    def log(self, info_hash: str) -> list[schema.LogLine]:
        return [
            schema.LogLine(at=at, level=level, text=text)
            for at, level, text in self._torrent(info_hash).log_lines
        ]

    # ── requests ────────────────────────────────────────────────────────────────────────────────

    async def add(self, request: schema.AddTorrent) -> str:
        found: Metainfo | Magnet
        if request.metainfo is not None:
            found = await parse_torrent(request.metainfo)
        else:
            found = await load_torrent(request.source or "", self._session.route)
        torrent = await self._session.add(
            found,
            save_path=Path(request.save_path) if request.save_path else None,
            peers=[endpoint(*split_host_port(peer)) for peer in request.peers],
            paused=request.paused,
            preallocate=request.preallocate,
            assume_complete=request.assume_complete,
            wishes=FileWishes(
                only=tuple(request.only),
                skip=tuple(request.skip),
                high=tuple(request.high),
                waits=request.pick,
            ),
        )
        return torrent.info_hash.hex()

    async def set_files(self, info_hash: str, request: schema.SetFiles) -> schema.SetFiles.Reply:
        torrent = self._torrent(info_hash)
        changes = choose(torrent, request)
        info = torrent.info
        await self._kept()
        skipped = torrent.choice.skipped if torrent.choice else frozenset[int]()
        return schema.SetFiles.Reply(
            changes=changes,
            wanted=sum(not f.is_pad and n not in skipped for n, f in enumerate(info.files)),
            files=torrent.summary.file_count,
            row=torrent_row(torrent),
        )

    async def pause(self, info_hashes: Sequence[str]) -> None:
        self._each(info_hashes, Torrent.pause)
        await self._kept()

    async def resume(self, info_hashes: Sequence[str]) -> None:
        self._each(info_hashes, Torrent.start)
        await self._kept()

    async def recheck(self, info_hashes: Sequence[str]) -> None:
        self._each(info_hashes, Torrent.recheck)
        await self._kept()

    async def announce(self, info_hashes: Sequence[str]) -> None:
        self._each(info_hashes, lambda torrent: torrent.announcer.announce_now())
        self._each(info_hashes, self._session.dht_announcing.announce_now)

    async def remove(self, info_hashes: Sequence[str], *, delete_data: bool) -> None:
        for torrent in self._torrents(info_hashes):
            await self._session.remove(torrent, delete_data=delete_data)

    async def find_peers(self, text: str) -> list[Endpoint]:
        return await find_peers(text, self._session.route)

    async def add_peer(self, info_hashes: Sequence[str], peer: Endpoint) -> None:
        self._each(info_hashes, lambda torrent: torrent.add_peer(peer))
        await self._kept()

    async def set_limits(
        self, info_hash: str | None, *, down: int | None, up: int | None
    ) -> schema.SetLimits.Reply:
        if info_hash is None:
            self._session.set_limits(down=down, up=up)
            facilities = self._session.facilities
            return schema.SetLimits.Reply(down=facilities.down.rate, up=facilities.up.rate)
        torrent = self._torrent(info_hash)
        torrent.set_limits(down=down, up=up)
        await self._kept()
        return schema.SetLimits.Reply(down=torrent.down_bucket.rate, up=torrent.up_bucket.rate)

    async def dht(self, request: schema.DhtRequest) -> object:
        return await self._dht.serve(request)

    def filter_status(self) -> schema.FilterStatus:
        return filter_status(self._session.filtering)

    async def reload_filter(self) -> None:
        await self._session.filtering.reload()

    def test_address(self, host: str) -> schema.IsBlocked.Reply:
        return is_blocked(self._session.filtering, host)

    def shut_down(self) -> None:
        self._shut_down()

    # ── inside ──────────────────────────────────────────────────────────────────────────────────

    def _torrent(self, info_hash: str) -> Torrent:
        torrent = self._session.torrents.get(InfoHash.parse(info_hash))
        if torrent is None:
            raise UnknownTorrentError(f"no torrent {info_hash}")
        return torrent

    def _torrents(self, info_hashes: Sequence[str]) -> list[Torrent]:
        return [self._torrent(info_hash) for info_hash in info_hashes]

    def _each(self, info_hashes: Sequence[str], act: Callable[[Torrent], None]) -> None:
        for torrent in self._torrents(info_hashes):
            act(torrent)

    async def _kept(self) -> None:
        """Wait until what was done survives a kill: only then it is answered."""
        await self._session.committing.kept()
