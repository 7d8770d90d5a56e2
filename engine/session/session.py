"""All torrents of an engine and what they share. Reads as the list of what can be asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from engine.core.compact import Endpoint
from engine.core.file_wishes import FileWishes
from engine.core.identifiers import InfoHash, PeerId
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.core.rates import RateEstimate
from engine.errors import DuplicateTorrentError, SeedwrightError, StorageError
from engine.net.connection import RECEIVE_BUFFER_BYTES, Transport
from engine.net.dialer import Dialer
from engine.net.frame_pipes import FramePipes
from engine.net.proxied_route import ProxiedRoute
from engine.net.tracker_client import TrackerClient
from engine.net.udp_endpoint import UdpEndpoint
from engine.net.udp_tracker_client import UdpTrackerClient
from engine.net.utp_multiplexer import UtpMultiplexer
from engine.session import persistence
from engine.session.adding import NO_WISHES, Order, complete_link, make_torrent, usable
from engine.session.announcing import Announcing
from engine.session.committing import Committing
from engine.session.dht import Dht
from engine.session.dht_announcing import DhtAnnouncing
from engine.session.filtering import Filtering, part_from_forbidden
from engine.session.incoming import Incoming
from engine.session.local_peers import LocalPeers
from engine.session.options import SessionOptions
from engine.session.proxying import Proxying
from engine.session.reaching import Reaching
from engine.session.removing import Removals
from engine.session.rerouting import Rerouting
from engine.session.resuming import resume
from engine.session.state_db import StateDb
from engine.session.tasks import Tasks
from engine.session.watch_folder import WatchFolder
from engine.session.wire_index import WireIndex
from engine.storage.disk import Disk
from engine.storage.file_pool import FilePool
from engine.storage.piece_buffers import PieceBuffers
from engine.torrent.checking import settle_record
from engine.torrent.facilities import ConnectionCount, Facilities
from engine.torrent.slabs import Slabs
from engine.torrent.summary import Summary
from engine.torrent.throttle import SharedLimit
from engine.torrent.torrent import Torrent
from engine.torrent.unfinished import UnfinishedBlock

log = logging.getLogger(__name__)

_TICK_S = 1.0
_LAST_BYTES_S = 1.0
"""How long what was sent by uTP is given to arrive when the session ends."""


class Session:
    """Make it on a running loop, `await start()`, use it, `await stop()`. Loop thread only."""

    def __init__(self, options: SessionOptions, state: StateDb | None = None) -> None:
        """Without `state` nothing is kept: that is the one-shot `get` and `seed`."""
        self.options = options
        self.torrents: dict[InfoHash, Torrent] = {}
        self.started_at = time.time()
        self.on_change: list[Callable[[Torrent], None]] = []
        """Called for every torrent that a front end should look at anew."""
        self.on_remove: list[Callable[[InfoHash], None]] = []
        self._loop = asyncio.get_running_loop()
        self._state = state
        self._metainfo: dict[InfoHash, Metainfo] = {}
        self._by_wire = WireIndex()
        self._active: dict[Torrent, None] = {}
        self._tasks = Tasks(self._loop)
        self.spawn = self._tasks.spawn
        self._tick_timer: asyncio.TimerHandle | None = None
        self._ticked_at = self._loop.time()
        self._totals_before = {"downloaded": 0, "uploaded": 0}
        self._is_stopping = False
        now = self._loop.time()
        self.down_rate = RateEstimate(now)
        self.up_rate = RateEstimate(now)
        receive_buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
        connections = ConnectionCount()
        limits = options.fitting_limits
        self.route = options.route()
        self.filtering = Filtering(options.filter, self.route, self.spawn)
        gate = self.filtering.gate
        self.incoming = Incoming(
            self._loop, receive_buffer, connections, limits, self._by_wire, self.route, gate
        )
        self.filtering.on_change = lambda: part_from_forbidden(self.incoming, self.torrents)
        self.udp = UdpEndpoint(self._loop, self.route)
        """Open from `start` to `stop`, unless its port is taken."""
        self.utp: UtpMultiplexer | None = None
        if Transport.UTP in options.transports:
            # Connection ids keep strangers out: they must not be guessable.
            ids = random.SystemRandom()
            accept = self.incoming.accept
            self.utp = UtpMultiplexer(self._loop, self.udp, receive_buffer, ids, accept)
        self.dht = Dht(self._loop, self.udp, options.dht, self.spawn, state)
        self.dht.is_shut_to = gate.is_shut_to
        self.dht_announcing = DhtAnnouncing(
            self._loop,
            self.dht,
            listen_port=lambda: self.reaching.port,
            is_own_host=self._is_own_host,
        )
        self.facilities = Facilities(
            loop=self._loop,
            rng=random.Random(os.urandom(16)),
            wall_clock=time.time,
            peer_id=PeerId.generate(os.urandom),
            limits=limits,
            connections=connections,
            disk=Disk(self._loop, threads=options.disk_threads),
            buffers=PieceBuffers(options.buffer_bytes),
            slabs=Slabs(),
            pipes=FramePipes(),
            file_pool=FilePool(options.open_files or None),
            dialer=Dialer(
                self._loop,
                receive_buffer,
                self.route,
                utp=self.utp,
                uses_tcp=Transport.TCP in options.transports,
            ),
            trackers=TrackerClient(self.route, udp=UdpTrackerClient(self.route, udp=self.udp)),
            route=self.route,
            receive_buffer=receive_buffer,
            down=SharedLimit(self._loop, options.down_limit),
            up=SharedLimit(self._loop, options.up_limit),
            down_rate=self.down_rate,
            up_rate=self.up_rate,
            listen_port=lambda: self.reaching.port,
            gate=gate,
            is_own_host=self._is_own_host,
            dht=self.dht_announcing,
            spawn=self.spawn,
        )
        self._removals = Removals(state, self.facilities)
        self.announcing = Announcing(self._loop, self.spawn, lambda: bool(self.route.waiting))
        self.committing = Committing(
            self._loop, state, is_there=self._is_there, totals=self._totals, spawn=self.spawn
        )
        self.local_peers = LocalPeers(self.facilities, options, self._by_wire.get)
        self.rerouting = (
            Proxying(self, self.route) if isinstance(self.route, ProxiedRoute) else Rerouting(self)
        )
        self.reaching = Reaching(self)

    # ── beginning and end ───────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Listen, and bring back the torrents that were there. Raises InputError, StorageError."""
        await self.filtering.start()
        await self.rerouting.start()
        self.reaching.start()
        if self._state is None:
            return
        self._totals_before |= await self._state.run(self._state.totals)
        for row in await self._state.run(self._state.load):
            try:
                origin = None
                if not row.piece_length:
                    origin = await self._state.run(self._state.metainfo, InfoHash(row.info_hash))
                torrent = persistence.from_row(row, self, self.facilities, origin)
            except (SeedwrightError, ValueError, TypeError) as error:
                log.error("%s is left alone: its record cannot be read: %s", row.name, error)
            else:
                self._register(torrent)
        self.committing.is_loaded = True
        await self._removals.go_on()
        wanted = [torrent for torrent in self.torrents.values() if torrent.wants_to_run]
        self.spawn(resume(wanted, self.facilities, partial(self._state.run, self._state.metainfos)))
        if self.options.watch_folder is not None:
            self.spawn(WatchFolder(self, self.options.watch_folder).run())

    async def stop(self) -> None:
        """Leave all swarms, tell the trackers within a bounded time, commit everything."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self.rerouting.close()
        self.incoming.close()
        self.local_peers.close()
        for torrent in self.torrents.values():
            torrent.suspend()
        with contextlib.suppress(StorageError):
            await self.committing.commit()
        self.dht_announcing.close()
        await self.dht.stop()
        await self.reaching.stop()
        await self.announcing.drain(self.options.stop_timeout_s)
        self.announcing.close()
        self.committing.close()
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        await self._tasks.end()
        for torrent in self.torrents.values():
            with contextlib.suppress(SeedwrightError):
                await settle_record(torrent, self.facilities.disk)
        await self.facilities.disk.close()
        try:
            await self.committing.commit()
        except StorageError as error:
            log.error("what changed last is lost: %s", error)
        await self.facilities.trackers.close()
        if self.utp is not None:
            await self.utp.drain(_LAST_BYTES_S)
            self.utp.close()
        self.udp.close()
        await self.rerouting.stop()
        self.facilities.pipes.close()
        self.facilities.file_pool.close()
        if self._state is not None:
            self._state.close()

    # ── what can be asked ───────────────────────────────────────────────────────────────────────

    async def add(
        self,
        source: Metainfo | Magnet,
        *,
        save_path: Path | None = None,
        peers: list[Endpoint] | None = None,
        paused: bool = False,
        preallocate: bool | None = None,
        assume_complete: bool = False,
        wishes: FileWishes = NO_WISHES,
    ) -> Torrent:
        """Add a torrent and start it; by a magnet link it fetches its metadata first (BEP 9).

        The .torrent of a link that is here, and has no metadata yet, completes that one.
        `assume_complete` means nothing with a link. Raises DuplicateTorrentError, InputError,
        StorageError.
        """
        order = Order(
            save_path=None if save_path is None else usable(save_path),
            peers=list(peers or []),
            paused=paused,
            preallocate=preallocate,
            wishes=wishes,
        )
        await self._removals.over(source.info_hash)
        if (there := self.torrents.get(source.info_hash)) is not None:
            if there.has_info or isinstance(source, Magnet):
                raise DuplicateTorrentError(f"{there.name} is here already")
            await complete_link(self, there, source, order)
            return there
        torrent = make_torrent(self, source, order)
        if isinstance(source, Metainfo):
            if assume_complete:
                torrent.assume_complete()
            self._metainfo[source.info_hash] = source
        self._register(torrent)
        try:
            if self._state is not None:
                row = persistence.to_row(torrent, time.time())
                await self._state.run(self._state.add, row, source.encode())
                self._metainfo.pop(source.info_hash, None)
        except StorageError:
            self._unregister(torrent)
            raise
        torrent.note("info", "added")
        if torrent.wants_to_run:
            torrent.start()
        return torrent

    async def remove(self, torrent: Torrent, *, delete_data: bool = False) -> None:
        """Forget a torrent; with `delete_data` delete its files, and nothing else, too. Raises
        StorageError; it is still there then if it would be back with the next start."""
        info = torrent.info if delete_data and torrent.has_info else None
        torrent.pause()
        self._unregister(torrent)
        try:
            await self._removals.remove(torrent, info)
        except StorageError:
            is_forgotten = await self._removals.is_forgotten(torrent.info_hash)
            if not is_forgotten and torrent.info_hash not in self.torrents:
                self._register(torrent)
            raise
        torrent.note("info", "removed" if info is None else "removed with its data")

    def set_limits(self, *, down: int | None = None, up: int | None = None) -> None:
        """Limit the whole session, in bytes a second; 0 lifts a limit, None leaves it."""
        if down is not None:
            self.facilities.down.set_rate(down)
        if up is not None:
            self.facilities.up.set_rate(up)

    @property
    def endpoints(self) -> list[Endpoint]:
        """Where peers can connect to."""
        uses_tcp = Transport.TCP in self.options.transports
        return self.incoming.listener.endpoints if uses_tcp else self.udp.endpoints

    @property
    def port(self) -> int:
        """The one to announce; 0 before the start, and after the end the one that it was."""
        return self.incoming.listener.port or self.udp.port

    @property
    def downloaded(self) -> int:
        """Bytes, since the state file was made."""
        return self._totals_before["downloaded"] + self.down_rate.total

    @property
    def uploaded(self) -> int:
        return self._totals_before["uploaded"] + self.up_rate.total

    # ── what torrents tell (Owner) ──────────────────────────────────────────────────────────────

    def changed(self, torrent: Torrent) -> None:
        if self._is_there(torrent):  # else its last words are still on their way
            self.committing.changed(torrent)
            self.shown(torrent)

    def shown(self, torrent: Torrent) -> None:
        for listener in self.on_change:
            listener(torrent)

    def activated(self, torrent: Torrent) -> None:
        self._active[torrent] = None
        if self._tick_timer is None and not self._is_stopping:
            self._ticked_at = self._loop.time()
            self._tick_timer = self._loop.call_later(_TICK_S, self._tick)

    def announce_changed(self, torrent: Torrent) -> None:
        self.announcing.schedule(torrent)
        self.dht_announcing.look_at(torrent)
        self.local_peers.look_at(torrent)

    def load_metainfo(self, info_hash: InfoHash) -> Metainfo:
        if (kept := self._metainfo.get(info_hash)) is not None:
            return kept
        if self._state is None:
            raise StorageError(f"no metainfo of {info_hash}")
        return Metainfo.parse(self._state.run_now(self._state.metainfo, info_hash))

    async def keep_metainfo(self, torrent: Torrent, metainfo: Metainfo) -> None:
        if not self._is_there(torrent):
            return
        self.dht_announcing.on_metadata(torrent, is_private=metainfo.info.is_private)
        if self._state is None:
            self._metainfo[torrent.info_hash] = metainfo
            return
        # Before the torrent takes it over: else its row could say more than is kept.
        row = persistence.to_row(torrent, time.time(), Summary.of(metainfo))
        await self._state.run(self._state.add, row, metainfo.encode())

    def load_blocks(self, info_hash: InfoHash) -> list[UnfinishedBlock]:
        return [] if self._state is None else self._state.run_now(self._state.unfinished, info_hash)

    # ── inside ──────────────────────────────────────────────────────────────────────────────────

    def _register(self, torrent: Torrent) -> None:
        self.torrents[torrent.info_hash] = torrent
        self._by_wire.add(torrent)
        self.shown(torrent)

    def _unregister(self, torrent: Torrent) -> None:
        self.torrents.pop(torrent.info_hash, None)
        self._by_wire.remove(torrent)
        self._metainfo.pop(torrent.info_hash, None)
        self.committing.forget(torrent)
        for listener in self.on_remove:
            listener(torrent.info_hash)

    def _is_there(self, torrent: Torrent) -> bool:
        """False once it was removed."""
        return self.torrents.get(torrent.info_hash) is torrent

    def _totals(self) -> dict[str, int]:
        return {"downloaded": self.downloaded, "uploaded": self.uploaded}

    def _is_own_host(self, host: str) -> bool:
        return any(endpoint.host == host for endpoint in self.endpoints)

    def _tick(self) -> None:
        now = self._loop.time()
        elapsed, self._ticked_at = now - self._ticked_at, now
        for torrent in list(self._active):
            if not torrent.tick(now, elapsed):
                self._active.pop(torrent, None)
                torrent.put_away()
        self.down_rate.update(now)
        self.up_rate.update(now)
        is_busy = self._active or self.down_rate.rate or self.up_rate.rate
        self._tick_timer = self._loop.call_later(_TICK_S, self._tick) if is_busy else None
