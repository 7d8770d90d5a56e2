"""The IP filter of a session: where the list comes from, when it is read again, whom it ends.

Fails closed: from the start until a list is there nobody is dialled and nobody let in, and a list
that cannot be read leaves the last good one in force. That one is kept, so that a start need not
wait for anybody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.core.ip_filter import IpFilter
from engine.core.ip_gate import IpGate
from engine.errors import InputError, SeedwrightError, StorageError
from engine.net.route import Route
from engine.net.web import fetch
from engine.session.source import is_url
from engine.storage import filter_file
from engine.storage.filter_file import ReadList

if TYPE_CHECKING:
    from engine.core.identifiers import InfoHash
    from engine.session.incoming import Incoming
    from engine.torrent.torrent import Torrent

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 30.0
_LAST_RETRY_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterOptions:
    """Whom not to speak with; engine/settings.py explains each."""

    source: str = ""
    """A path or an http(s) URL; empty is no filter."""
    refresh_s: float = 86_400.0
    allow: tuple[str, ...] = ()
    copy: Path | None = None
    """Where the last good list is kept; None keeps none."""


class Filtering:
    """Loads the list, and holds the gate that everybody asks."""

    def __init__(
        self,
        options: FilterOptions,
        route: Route,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        """Raises InputError: `allow` names no networks."""
        self.options = options
        self.gate = IpGate(IpFilter.of(options.allow), is_open=not options.source)
        self.read_at: float | None = None
        """Seconds since the epoch: when the list in force was read from its source."""
        self.nonsense = 0
        """Lines of it that could not be read."""
        self.error = ""
        """Why the last try to read the source failed; empty when it did not."""
        self._route = route
        self._spawn = spawn
        self.on_change: Callable[[], None] = lambda: None
        """Called when other hosts are forbidden than before."""
        self._reading = asyncio.Lock()

    async def start(self) -> None:
        """Take the copy that is kept, if there is one; the source is read behind this."""
        source, copy = self.options.source, self.options.copy
        if not source:
            return
        if copy is not None:
            kept = await asyncio.to_thread(filter_file.kept, copy, source=source)
            if kept is not None:
                self.read_at = kept.read_at
                self._take(kept.ranges)
        self._spawn(self._keep_fresh())

    async def reload(self) -> None:
        """Read the source now. Raises InputError if there is none; SourceError, StorageError and
        InputError if it cannot be read, and then the list in force stays."""
        source = self.options.source
        if not source:
            raise InputError("there is no IP filter: filter.source is not set")
        async with self._reading:
            try:
                read = await self._read(source)
            except SeedwrightError as error:
                self.error = str(error)
                raise
            self.error, self.nonsense, self.read_at = "", read.nonsense, time.time()
            self._take(read.ranges)
            log.info("IP filter: %d ranges from %s", len(read.ranges), source)
            if read.nonsense:
                log.warning(
                    "IP filter: %d lines of %s make no sense, the first is %r",
                    *(read.nonsense, source, read.first_nonsense),
                )
            await self._keep(read.ranges, source)

    async def _read(self, source: str) -> ReadList:
        if is_url(source):
            data = await fetch(source, self._route, limit_bytes=filter_file.MAX_LIST_BYTES)
        else:
            data = await asyncio.to_thread(filter_file.read_file, source)
        try:
            return await asyncio.to_thread(filter_file.read_list, data)
        except InputError as error:
            raise InputError(f"{source}: {error}") from error

    async def _keep(self, ranges: IpFilter, source: str) -> None:
        if self.options.copy is None or self.read_at is None:
            return
        try:
            await asyncio.to_thread(
                filter_file.keep, self.options.copy, ranges, source=source, read_at=self.read_at
            )
        except StorageError as error:
            log.warning("no copy of the IP filter is kept: %s", error)

    def _take(self, ranges: IpFilter) -> None:
        self.gate.take(ranges)
        self.on_change()

    async def _keep_fresh(self) -> None:
        """Read the source when it is due, and sooner again when it failed."""
        # A file is read at each start: it may have been changed.
        must_read, retry_s = not is_url(self.options.source), _FIRST_RETRY_S
        while True:
            wait_s = 0.0 if must_read else self._due_in_s()
            if wait_s <= 0:
                try:
                    await self.reload()
                except SeedwrightError as error:
                    self._tell(error)
                    wait_s, retry_s = retry_s, min(_LAST_RETRY_S, 2 * retry_s)
                else:
                    must_read, retry_s = False, _FIRST_RETRY_S
            await asyncio.sleep(min(wait_s, _LAST_RETRY_S))

    def _due_in_s(self) -> float:
        """Until the list is as old as it may be, whoever asked for it last."""
        age_s = time.time() - (self.read_at or 0.0)
        return self.options.refresh_s - age_s

    def _tell(self, error: SeedwrightError) -> None:
        if self.gate.is_open:
            log.warning("IP filter: the last good list stays in force: %s", error)
        else:
            log.error("IP filter: no peer is spoken with until it is loaded: %s", error)


def part_from_forbidden(incoming: Incoming, torrents: Mapping[InfoHash, Torrent]) -> None:
    """End the connections with all whom a new list forbids."""
    incoming.drop_forbidden()
    for torrent in torrents.values():
        for swarm in (torrent.live and torrent.live.peers, torrent.fetching):
            if swarm:
                swarm.drop_forbidden()
