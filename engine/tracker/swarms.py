"""What the servers of a tracker ask about swarms, wherever these are kept (BEP 3, 48).

A tracker's own swarms answer at once, so that an announce costs neither a task nor a turn of the
loop; those that several trackers share (shared_swarms.py) answer later.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

from engine.tracker.swarm_table import Announce, Chosen, SwarmCount, SwarmTable


class Census(NamedTuple):
    """All swarms together."""

    torrents: int
    """With at least one peer."""
    peers: int
    seeds: int
    leechers: int
    ipv6_peers: int
    downloads: int
    largest: list[SwarmCount] | None
    """The largest first; None where it would take too long to tell."""


class Swarms(Protocol):
    """All methods raise TrackerFailure for what cannot be answered now; `now` is seconds of one
    monotonic clock."""

    @property
    def is_open(self) -> bool:
        """Whether any torrent may be announced."""

    def allow(self, allowed: Collection[bytes] | None) -> None:
        """Replace the allow-list; None is any torrent."""

    def announce(self, announce: Announce, now: float) -> Chosen | Coroutine[Any, Any, Chosen]:
        """Take note of a peer and choose others for it."""

    def counts(
        self, info_hashes: Sequence[bytes], now: float
    ) -> list[SwarmCount] | Coroutine[Any, Any, list[SwarmCount]]:
        """Count some swarms; one that nobody announced has zeros."""

    def census(self, most: int, now: float) -> Census | Coroutine[Any, Any, Census]:
        """Count everything, and `most` of the largest swarms one by one."""


class OwnSwarms:
    """The swarms of one tracker, in its memory."""

    def __init__(self, table: SwarmTable) -> None:
        self._table = table
        self.announce = table.announce
        self.allow = table.allow

    @property
    def is_open(self) -> bool:
        return self._table.is_open

    def counts(self, info_hashes: Sequence[bytes], now: float) -> list[SwarmCount]:
        self._table.expire(now)
        return [self._table.count(info_hash) for info_hash in info_hashes]

    def census(self, most: int, now: float) -> Census:
        table = self._table
        table.expire(now)
        return Census(
            table.torrents,
            table.peers,
            table.seeds,
            table.leechers,
            table.ipv6_peers,
            table.downloads,
            table.largest(most),
        )


def largest_of(counts: Sequence[SwarmCount], most: int) -> list[SwarmCount]:
    """Those with the most peers, the largest first."""
    return heapq.nsmallest(
        most, counts, key=lambda c: (-c.seeds - c.leechers, -c.downloads, c.info_hash)
    )
