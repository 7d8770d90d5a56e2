"""All torrents of an engine and what they share. Reads as the list of what can be asked of it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash, PeerId
from engine.core.magnet import MAX_LINK_CHARS, Magnet
from engine.core.metainfo import Metainfo
from engine.core.rates import RateEstimate
from engine.errors import DuplicateTorrentError, InputError, SeedwrightError, StorageError
from engine.net.dialer import Dialer
from engine.net.peer_connection import RECEIVE_BUFFER_BYTES
from engine.net.tracker_client import TrackerClient
from engine.session import persistence
from engine.session.announcing import Announcing
from engine.session.incoming import Incoming
from engine.session.options import SessionOptions
from engine.session.resuming import resume
from engine.session.state_db import Changes, StateDb
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
_COMMIT_S = 1.0
"""Progress is committed at most so long after it was made."""


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
        self._by_wire: dict[bytes, Torrent] = {}
        self._active: dict[Torrent, None] = {}
        self._dirty: dict[Torrent, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._tick_timer: asyncio.TimerHandle | None = None
        self._ticked_at = self._loop.time()
        self._commit_timer: asyncio.TimerHandle | None = None
        self._committing = asyncio.Lock()
        self._totals_before = {"downloaded": 0, "uploaded": 0}
        self._is_loaded = False
        """What the state file holds is known, and may be written over."""
        self._is_stopping = False
        now = self._loop.time()
        self.down_rate = RateEstimate(now)
        self.up_rate = RateEstimate(now)
        receive_buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
        connections = ConnectionCount()
        limits = options.fitting_limits
        self.incoming = Incoming(
            self._loop, receive_buffer, connections, limits.max_connections, self._find
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
            file_pool=FilePool(options.open_files or None),
            dialer=Dialer(self._loop, options.local_host),
            trackers=TrackerClient(local_host=options.local_host),
            receive_buffer=receive_buffer,
            down=SharedLimit(self._loop, options.down_limit),
            up=SharedLimit(self._loop, options.up_limit),
            down_rate=self.down_rate,
            up_rate=self.up_rate,
            listen_port=lambda: self.incoming.listener.port,
            is_own_host=self._is_own_host,
            spawn=self.spawn,
        )
        self.announcing = Announcing(self._loop, self.spawn)

    # ── beginning and end ───────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Listen, and bring back the torrents that were there. Raises InputError, StorageError."""
        self.incoming.listener.open(self.options.listen_host, self.options.listen_port)
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
        self._is_loaded = True
        wanted = [torrent for torrent in self.torrents.values() if torrent.wants_to_run]
        self.spawn(resume(wanted, self.facilities, partial(self._state.run, self._state.metainfos)))

    async def stop(self) -> None:
        """Leave all swarms, tell the trackers within a bounded time, commit everything."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self.incoming.close()
        for torrent in self.torrents.values():
            torrent.suspend()
        with contextlib.suppress(StorageError):
            await self.commit()
        await self.announcing.drain(self.options.stop_timeout_s)
        self.announcing.close()
        for timer in (self._tick_timer, self._commit_timer):
            if timer is not None:
                timer.cancel()
        await self._end_tasks()
        for torrent in self.torrents.values():
            with contextlib.suppress(SeedwrightError):
                await settle_record(torrent, self.facilities.disk)
        await self.facilities.disk.close()
        with contextlib.suppress(StorageError):
            await self.commit()
        await self.facilities.trackers.close()
        self.facilities.file_pool.close()
        if self._state is not None:
            self._state.close()

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task that ends with the session."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)
        return task

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task failed", exc_info=error)

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
    ) -> Torrent:
        """Add a torrent and start it; by a magnet link it fetches its metadata first (BEP 9).

        `assume_complete` means nothing with a link. Raises DuplicateTorrentError, InputError,
        StorageError.
        """
        if (there := self.torrents.get(source.info_hash)) is not None:
            raise DuplicateTorrentError(f"{there.name} is here already")
        save_path = (save_path or self.options.save_path).absolute()
        try:
            os.fspath(save_path).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"the path {str(save_path)!a} is not UTF-8") from error
        magnet = source if isinstance(source, Magnet) else None
        origin = source.encode()
        if magnet and len(origin) > MAX_LINK_CHARS:
            raise InputError("this magnet link is too long to be kept")
        torrent = Torrent(
            self,
            self.facilities,
            Summary.of(source),
            save_path=save_path,
            added_at=time.time(),
            preallocate=self.options.preallocate if preallocate is None else preallocate,
            magnet=magnet,
            info=source.info if isinstance(source, Metainfo) else None,
        )
        torrent.explicit_peers = list(peers or [])
        torrent.wants_to_run = not paused
        if isinstance(source, Metainfo):
            if assume_complete:
                torrent.assume_complete()
            self._metainfo[source.info_hash] = source
        self._register(torrent)
        try:
            if self._state is not None:
                row = persistence.to_row(torrent, time.time())
                await self._state.run(self._state.add, row, origin)
                self._metainfo.pop(source.info_hash, None)
        except StorageError:
            self._unregister(torrent)
            raise
        torrent.note("info", "added")
        if not paused:
            torrent.start()
        return torrent

    async def remove(self, torrent: Torrent, *, delete_data: bool = False) -> None:
        """Forget a torrent; with `delete_data` delete its files, and nothing else, too."""
        info = torrent.info if delete_data and torrent.has_info else None
        torrent.pause()
        self._unregister(torrent)
        if self._state is not None:
            await self._state.run(self._state.remove, torrent.info_hash)
        if info is not None:
            await self.facilities.disk.settle()
            await self.facilities.disk.run(torrent.files(info).delete)

    def set_limits(self, *, down: int | None = None, up: int | None = None) -> None:
        """Limit the whole session, in bytes a second; 0 lifts a limit, None leaves it."""
        if down is not None:
            self.facilities.down.set_rate(down)
        if up is not None:
            self.facilities.up.set_rate(up)

    @property
    def downloaded(self) -> int:
        """Bytes, since the state file was made."""
        return self._totals_before["downloaded"] + self.down_rate.total

    @property
    def uploaded(self) -> int:
        return self._totals_before["uploaded"] + self.up_rate.total

    # ── what torrents tell (Owner) ──────────────────────────────────────────────────────────────

    def changed(self, torrent: Torrent) -> None:
        if self.torrents.get(torrent.info_hash) is not torrent:
            return  # removed, though its last words are still on their way
        self._dirty[torrent] = None
        self.shown(torrent)
        if self._commit_timer is None and self._state is not None and not self._is_stopping:
            self._commit_timer = self._loop.call_later(_COMMIT_S, self._begin_commit)

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

    def load_metainfo(self, info_hash: InfoHash) -> Metainfo:
        if (kept := self._metainfo.get(info_hash)) is not None:
            return kept
        if self._state is None:
            raise StorageError(f"no metainfo of {info_hash}")
        return Metainfo.parse(self._state.run_now(self._state.metainfo, info_hash))

    async def keep_metainfo(self, torrent: Torrent, metainfo: Metainfo) -> None:
        if self.torrents.get(torrent.info_hash) is not torrent:
            return
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
        self._by_wire[bytes(torrent.info_hash[:20])] = torrent
        self.shown(torrent)

    def _unregister(self, torrent: Torrent) -> None:
        self.torrents.pop(torrent.info_hash, None)
        self._by_wire.pop(bytes(torrent.info_hash[:20]), None)
        self._metainfo.pop(torrent.info_hash, None)
        self._dirty.pop(torrent, None)
        for listener in self.on_remove:
            listener(torrent.info_hash)

    def _find(self, wire_hash: bytes) -> Torrent | None:
        torrent = self._by_wire.get(bytes(wire_hash[:20]))
        is_met = torrent is not None and torrent.state.is_running and torrent.has_info
        return torrent if is_met else None

    def _is_own_host(self, host: str) -> bool:
        return any(endpoint.host == host for endpoint in self.incoming.listener.endpoints)

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

    def _begin_commit(self) -> None:
        self._commit_timer = None
        self.spawn(self._commit_logged())

    async def _commit_logged(self) -> None:
        try:
            await self.commit()
        except StorageError as error:
            log.error("%s; trying again", error)
            self._commit_timer = self._loop.call_later(5 * _COMMIT_S, self._begin_commit)

    async def commit(self) -> None:
        """Write what has changed into the state file. Raises StorageError."""
        if self._state is None or not self._is_loaded:
            return
        async with self._committing:
            dirty, self._dirty = self._dirty, {}
            try:
                await self._state.run(self._state.save, self._changes(dirty))
            except BaseException:
                self._dirty = dirty | self._dirty
                raise

    def _changes(self, dirty: Iterable[Torrent]) -> Changes:
        totals = {"downloaded": self.downloaded, "uploaded": self.uploaded}
        changes = Changes([], totals)
        now = time.time()
        for torrent in dirty:
            if self.torrents.get(torrent.info_hash) is not torrent:
                continue
            info_hash = bytes(torrent.info_hash)
            changes.rows.append(persistence.to_row(torrent, now))
            blocks, ended = persistence.take_unfinished(torrent)
            changes.blocks.extend((info_hash, *block) for block in blocks)
            changes.ended.extend((info_hash, piece) for piece in ended)
        return changes
