"""Which torrent looks for peers in the DHT, and when: one heap of due times, a queue, few at a time
(BEP 5, 27, 33).

A torrent that runs looks at once, then every 15 to 30 minutes, sooner while it knows few peers; by
the same lookup it announces itself. Torrents that are new, or that the user asked about, go first.
An idle torrent costs a record here and no timer. Private torrents have no record: nothing of them
ever leaves by this way; nor is one announced before its metadata says that it is not private.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from random import SystemRandom
from typing import Final

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.discovery.dht.purpose import FindPeers
from engine.session.alarm import Alarm
from engine.session.dht import Dht, Search
from engine.swarm.peer_list import PeerSource
from engine.torrent.torrent import Torrent

AT_ONCE: Final = 24
"""Lookups of torrents; the nodes run a few more, so that the user's find a place."""
INTERVAL_S: Final = (900.0, 1800.0)
FIRST_RETRY_S: Final = 20.0
LAST_RETRY_S: Final = 900.0
_SETTLED_S: Final = 1.0
"""So long a torrent needs at most to take its metadata over."""
_NEW, _NEW_SEED, _PERIODIC = range(3)


class Record:
    """What the DHT knows of one torrent."""

    __slots__ = (
        "found",
        "is_private",
        "is_waiting",
        "next_at",
        "peers",
        "search",
        "searched_at",
        "torrent",
        "tries",
        "urgency",
    )

    def __init__(self, torrent: Torrent, now: float, urgency: int) -> None:
        self.torrent = torrent
        self.urgency = urgency
        self.next_at = now
        """Of the loop's clock; infinite while a search runs or waits."""
        self.is_waiting = False
        self.is_private = False
        """Its metadata says so, and came after it began to look."""
        self.search: Search | None = None
        self.found: dict[Endpoint, None] = {}
        """By the search that runs."""
        self.peers = 0
        """That the last search found."""
        self.tries = 0
        """Searches in a row that were made because peers are few."""
        self.searched_at: float | None = None
        """When the last search ended, of the loop's clock."""


class DhtAnnouncing:
    """Implements the torrents' DhtDoor."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        dht: Dht,
        *,
        listen_port: Callable[[], int],
        is_own_host: Callable[[str], bool],
    ) -> None:
        self._loop = loop
        self._dht = dht
        self._rng = SystemRandom()
        self._listen_port = listen_port
        self._is_own_host = is_own_host
        self._records: dict[InfoHash, Record] = {}
        self._heap: list[tuple[float, int, Record]] = []
        self._waiting: list[tuple[int, int, Record]] = []
        self._count = itertools.count()
        self._running = 0
        self._alarm = Alarm(loop, self._on_alarm)
        dht.on_joined = self._on_joined

    # ── what torrents ask (DhtDoor) ─────────────────────────────────────────────────────────────

    @property
    def port(self) -> int:
        return self._dht.port

    def met(self, node: Endpoint) -> None:
        self._dht.met(node)

    def want_peers(self, info_hash: InfoHash) -> None:
        record = self._records.get(info_hash)
        if record is None or record.searched_at is None or record.next_at == math.inf:
            return
        at = record.searched_at + min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(record.tries, 10))
        if at < record.next_at:
            record.tries += 1
            record.urgency = _NEW
            self._schedule(record, at)

    # ── what the session tells ──────────────────────────────────────────────────────────────────

    def look_at(self, torrent: Torrent) -> None:
        """Note whether a torrent is in its swarm. Cheap; call it whenever that may have changed."""
        record = self._records.get(torrent.info_hash)
        is_wanted = (
            self._dht.is_running and torrent.announcer.is_started and not torrent.summary.is_private
        )
        if not is_wanted:
            self._forget(torrent.info_hash)
        elif record is None:
            now = self._loop.time()
            urgency = _NEW_SEED if torrent.is_finished else _NEW
            self._records[torrent.info_hash] = record = Record(torrent, now, urgency)
            self._schedule(record, now)

    def announce_now(self, torrent: Torrent) -> None:
        """The user asks."""
        record = self._records.get(torrent.info_hash)
        if record is not None and not record.is_private and record.search is None:
            record.urgency, record.tries = _NEW, 0
            self._schedule(record, self._loop.time())

    def announce_all(self) -> None:
        """What was announced names a port that is not ours any more."""
        for record in self._records.values():
            if not record.is_private:
                self._end_search(record)
                self._schedule(record, self._loop.time())

    def on_metadata(self, torrent: Torrent, *, is_private: bool) -> None:
        """A torrent is about to learn what it is; before, it only looked."""
        record = self._records.get(torrent.info_hash)
        if record is None:
            return
        self._end_search(record)
        record.is_private, record.urgency = is_private, _NEW
        self._schedule(record, math.inf if is_private else self._loop.time() + _SETTLED_S)

    def record_of(self, torrent: Torrent) -> Record | None:
        return self._records.get(torrent.info_hash)

    def next_in_s(self, record: Record) -> float | None:
        """Seconds until the next search; None while one runs or waits for its turn."""
        if record.next_at == math.inf:
            return None
        return max(0.0, record.next_at - self._loop.time())

    def close(self) -> None:
        self._alarm.set(math.inf)
        for record in self._records.values():
            self._end_search(record)
        self._records.clear()
        self._heap.clear()
        self._waiting.clear()

    # ── inside ──────────────────────────────────────────────────────────────────────────────────

    def _schedule(self, record: Record, at: float) -> None:
        record.next_at = at
        if at < math.inf:
            heapq.heappush(self._heap, (at, next(self._count), record))
            self._alarm.no_later_than(at)

    def _on_alarm(self, now: float) -> None:
        while self._heap and self._heap[0][0] <= now:
            at, _, record = heapq.heappop(self._heap)
            if record.next_at == at and self._is_current(record):
                record.next_at = math.inf
                if not record.is_waiting and record.search is None:
                    record.is_waiting = True
                    waiting = record.urgency, next(self._count), record
                    heapq.heappush(self._waiting, waiting)
        self._alarm.set(self._heap[0][0] if self._heap else math.inf)
        self._work()

    def _is_current(self, record: Record) -> bool:
        return self._records.get(record.torrent.info_hash) is record

    def _work(self) -> None:
        """Begin as many searches as there is place for; none before we know anybody to ask."""
        while self._waiting and self._running < AT_ONCE and self._dht.joined:
            _, _, record = heapq.heappop(self._waiting)
            record.is_waiting = False
            if self._is_current(record) and not record.is_private and record.search is None:
                self._begin(record)

    def _begin(self, record: Record) -> None:
        torrent = record.torrent
        port = self._listen_port() if torrent.has_info else 0
        self._running += 1
        record.found = {}
        record.search = self._dht.search(
            lambda: FindPeers(
                torrent.info_hash[:20],
                port=port,
                implied_port=bool(port) and self._dht.takes_utp,
                is_seed=torrent.is_complete,
                no_seeds=torrent.is_finished,
            ),
            lambda search: self._on_end(record, search),
            lambda peers: self._on_peers(record, peers),
        )

    def _on_peers(self, record: Record, peers: tuple[Endpoint, ...]) -> None:
        others = [peer for peer in peers if not self._is_us(peer)]
        record.found.update(dict.fromkeys(others))
        if others:
            record.torrent.found_peers(others, PeerSource.DHT)

    def _is_us(self, peer: Endpoint) -> bool:
        """Our own announces come back to us. A wrong guess costs a handshake with ourselves."""
        if peer.port != self._listen_port():
            return False
        node = self._dht.nodes.get(peer.is_ipv6)
        return self._is_own_host(peer.host) or (node is not None and node.host == peer.host)

    def _on_end(self, record: Record, search: Search) -> None:
        if record.search is not search:
            return
        self._running -= 1
        now = self._loop.time()
        record.search = None
        record.peers, record.found = len(record.found), {}
        record.searched_at = now
        if record.urgency != _NEW:
            record.tries = 0
        record.urgency = _PERIODIC
        self._schedule(record, now + self._rng.uniform(*INTERVAL_S))
        self._work()

    def _end_search(self, record: Record) -> None:
        if record.search is not None:
            self._running -= 1
            self._dht.cancel(record.search)
            record.search = None

    def _forget(self, info_hash: InfoHash) -> None:
        record = self._records.pop(info_hash, None)
        if record is not None:
            self._end_search(record)
            self._work()

    def _on_joined(self) -> None:
        """What waited for somebody to ask begins."""
        self._work()
