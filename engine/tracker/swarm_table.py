"""Who is in which swarm, as a tracker knows it (BEP 3, 15, 48): announced, chosen, forgotten.

A peer here is one endpoint of one swarm, in compact form (BEP 23: 6 bytes, BEP 7: 18). Invariants:
every peer is in exactly one pool of its swarm and in the order of last sight; memory is bounded by
`Limits` whatever is announced; an announce costs time in proportion to the peers that it asks for,
never to the size of the swarm. `now` is seconds of one monotonic clock.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.errors import TrackerFailure
from engine.tracker.peer_choice import choose

if TYPE_CHECKING:
    from random import Random

COMPACT_IPV4_BYTES = 6
_IPV6_HOST_BYTES = 8
"""A /64 is one household: counting single IPv6 addresses would limit nobody."""
_EXPIRED_PER_ANNOUNCE = 16
"""Each announce adds one peer and clears up to this many: expiry keeps up without a long pause."""
_CROWDED = 0.5
"""Of `max_torrents`; from there on a host that announces ever new ones is held to its own limit."""


class Event(IntEnum):
    """Why a peer announces, numbered as in BEP 15."""

    NONE = 0
    COMPLETED = 1
    STARTED = 2
    STOPPED = 3


class Families(IntEnum):
    """Which addresses the asker can be told: UDP replies hold one family, HTTP replies both."""

    BOTH = 0
    IPV4 = 1
    IPV6 = 2


class Announce(NamedTuple):
    """What one peer says of itself, already validated."""

    info_hash: bytes
    peer_id: bytes
    compact: bytes
    """Its packed address and port."""
    left: int
    """Bytes it lacks; 0 makes it a seed."""
    event: Event
    numwant: int
    """Most peers to answer with, already clamped."""
    families: Families = Families.BOTH


class Peer:
    """One endpoint of one swarm. `position` is its place in the pool that holds it.

    `may_complete`: its download still counts. A client may announce that it lacks nothing before it
    says `completed`, or say that twice.
    """

    __slots__ = ("compact", "may_complete", "peer_id", "pool", "position", "seen_at", "swarm")

    def __init__(self, swarm: Swarm, compact: bytes) -> None:
        self.swarm = swarm
        self.compact = compact
        self.may_complete = True
        self.peer_id = b""
        self.pool = -1
        self.position = -1
        self.seen_at = 0.0

    @property
    def is_ipv6(self) -> bool:
        return len(self.compact) != COMPACT_IPV4_BYTES


_IPV4_LEECHERS, _IPV4_SEEDS, _IPV6_LEECHERS, _IPV6_SEEDS = range(4)

POOLS_FOR_SEED = {
    Families.BOTH: (_IPV4_LEECHERS, _IPV6_LEECHERS),
    Families.IPV4: (_IPV4_LEECHERS,),
    Families.IPV6: (_IPV6_LEECHERS,),
}
POOLS_OF_SEEDS = {
    Families.BOTH: (_IPV4_SEEDS, _IPV6_SEEDS),
    Families.IPV4: (_IPV4_SEEDS,),
    Families.IPV6: (_IPV6_SEEDS,),
}
POOLS_FOR_LEECHER = {
    Families.BOTH: (_IPV4_LEECHERS, _IPV4_SEEDS, _IPV6_LEECHERS, _IPV6_SEEDS),
    Families.IPV4: (_IPV4_LEECHERS, _IPV4_SEEDS),
    Families.IPV6: (_IPV6_LEECHERS, _IPV6_SEEDS),
}


class Swarm:
    """The peers of one info-hash, in a list for each family and kind, so that any can be drawn."""

    __slots__ = ("downloads", "founder", "hosts", "info_hash", "peers", "pools")

    def __init__(self, info_hash: bytes, founder: bytes = b"") -> None:
        self.info_hash = info_hash
        self.founder = founder
        """The host that announced it first."""
        self.peers: dict[bytes, Peer] = {}
        self.pools: tuple[list[Peer], list[Peer], list[Peer], list[Peer]] = ([], [], [], [])
        self.hosts: dict[bytes, int] = {}
        self.downloads = 0

    @property
    def seeds(self) -> int:
        return len(self.pools[_IPV4_SEEDS]) + len(self.pools[_IPV6_SEEDS])

    @property
    def leechers(self) -> int:
        return len(self.pools[_IPV4_LEECHERS]) + len(self.pools[_IPV6_LEECHERS])


class Told(Protocol):
    """A peer as the one who asks is told of it."""

    @property
    def compact(self) -> bytes: ...
    @property
    def peer_id(self) -> bytes: ...


class Chosen(NamedTuple):
    """The answer to an announce."""

    seeds: int
    leechers: int
    downloads: int
    peers: Sequence[Told]
    """Without the asker; both families mixed unless it named one."""


class SwarmCount(NamedTuple):
    """What a scrape says of one torrent (BEP 48)."""

    info_hash: bytes
    seeds: int
    leechers: int
    downloads: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a table's memory: about 1 KB for a torrent and 0.6 KB for a peer."""

    max_torrents: int = 100_000
    """Torrents known at once; further ones are refused, so that a flood pushes nobody out."""
    max_torrents_per_host: int = 10_000
    """Torrents that one host was the first to announce; further ones are refused once half of
    `max_torrents` are known."""
    max_peers: int = 500_000
    """Peers of all swarms; above, whoever was silent longest makes room."""
    max_peers_per_torrent: int = 50_000
    """Peers of one swarm; above, a random one makes room."""
    max_peers_per_host: int = 1_000
    """Ports of one IPv4 address or IPv6 /64 in one swarm; further ones are refused."""


class SwarmTable:
    """All swarms of a tracker."""

    def __init__(
        self,
        rng: Random,
        *,
        expiry_s: float = 3720,
        limits: Limits | None = None,
        allowed: Collection[bytes] | None = None,
    ) -> None:
        """`expiry_s`: silence after which a peer is forgotten. `allowed`: None is any torrent."""
        self._rng = rng
        self._expiry_s = expiry_s
        self._limits = limits or Limits()
        self._allowed = None if allowed is None else frozenset(map(bytes, allowed))
        self._swarms: dict[bytes, Swarm] = {}
        self._idle: OrderedDict[bytes, None] = OrderedDict()
        """Swarms kept only for their count of downloads: the first to go when room is needed."""
        self._founded: dict[bytes, int] = {}
        """Of those that are there, how many each host announced first."""
        self._by_sight: OrderedDict[Peer, None] = OrderedDict()
        """Every peer, least recently seen first."""
        self._pool_totals = [0, 0, 0, 0]
        self.downloads = 0
        """Completed downloads since the start, of torrents since forgotten too."""

    @property
    def torrents(self) -> int:
        """Torrents with at least one peer."""
        return len(self._swarms) - len(self._idle)

    @property
    def peers(self) -> int:
        return len(self._by_sight)

    @property
    def seeds(self) -> int:
        return self._pool_totals[_IPV4_SEEDS] + self._pool_totals[_IPV6_SEEDS]

    @property
    def leechers(self) -> int:
        return self._pool_totals[_IPV4_LEECHERS] + self._pool_totals[_IPV6_LEECHERS]

    @property
    def ipv6_peers(self) -> int:
        return self._pool_totals[_IPV6_LEECHERS] + self._pool_totals[_IPV6_SEEDS]

    @property
    def is_open(self) -> bool:
        """Whether any torrent may be announced."""
        return self._allowed is None

    def allow(self, allowed: Collection[bytes] | None) -> None:
        """Replace the allow-list and forget the swarms that it leaves out."""
        self._allowed = None if allowed is None else frozenset(map(bytes, allowed))
        if self._allowed is None:
            return
        for swarm in [s for h, s in self._swarms.items() if h not in self._allowed]:
            for peer in list(swarm.peers.values()):
                self._forget(peer)
            self._drop_swarm(swarm)

    def announce(self, announce: Announce, now: float) -> Chosen:
        """Take note of a peer and choose others for it.

        Raises TrackerFailure when the torrent is not allowed or there is no room for it.
        """
        self.expire(now, most=_EXPIRED_PER_ANNOUNCE)
        swarm = self._swarms.get(announce.info_hash)
        if announce.event == Event.STOPPED:
            return self._stop(swarm, announce)
        if swarm is None:
            swarm = self._new_swarm(announce.info_hash, _host(announce.compact))
        peer = swarm.peers.get(announce.compact)
        if peer is None:
            self._make_room(swarm, announce.compact)
            peer = self._add(swarm, announce.compact)
        peer.peer_id = announce.peer_id
        peer.seen_at = now
        self._by_sight.move_to_end(peer)
        is_seed = announce.left == 0
        if not is_seed:
            peer.may_complete = True
        elif announce.event != Event.NONE:
            if announce.event == Event.COMPLETED and peer.may_complete:
                swarm.downloads += 1
                self.downloads += 1
            peer.may_complete = False
        pool = (2 if peer.is_ipv6 else 0) + is_seed
        if peer.pool != pool:
            self._leave_pool(peer)
            self._enter_pool(peer, pool)
        indexes = (POOLS_FOR_SEED if is_seed else POOLS_FOR_LEECHER)[announce.families]
        home = swarm.pools[pool] if pool in indexes else None
        pools = [swarm.pools[index] for index in indexes]
        chosen = choose(self._rng, pools, announce.numwant, peer, home)
        if is_seed and announce.event == Event.STARTED and len(chosen) < announce.numwant:
            # A client that has a magnet link only may not know what it lacks: aria2 says nothing.
            indexes = POOLS_OF_SEEDS[announce.families]
            pools = [swarm.pools[index] for index in indexes]
            home = swarm.pools[pool] if pool in indexes else None
            chosen += choose(self._rng, pools, announce.numwant - len(chosen), peer, home)
        if self.ipv6_peers and announce.families == Families.BOTH:
            # Who is reached over both families announces twice and need not hear of itself.
            chosen = [other for other in chosen if other.peer_id != peer.peer_id]
        return Chosen(swarm.seeds, swarm.leechers, swarm.downloads, chosen)

    def expire(self, now: float, most: int | None = None) -> int:
        """Forget peers that were silent for the expiry time, at most `most`; returns how many."""
        deadline = now - self._expiry_s
        gone = 0
        while self._by_sight and (most is None or gone < most):
            peer = next(iter(self._by_sight))
            if peer.seen_at > deadline:
                break
            self._forget(peer)
            gone += 1
        return gone

    def count(self, info_hash: bytes) -> SwarmCount:
        """Count one swarm; a torrent that nobody announced has zeros."""
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            return SwarmCount(info_hash, 0, 0, 0)
        return SwarmCount(info_hash, swarm.seeds, swarm.leechers, swarm.downloads)

    def largest(self, most: int) -> list[SwarmCount]:
        """Count the swarms with the most peers, largest first; takes time in all torrents."""
        swarms = heapq.nsmallest(
            most, self._swarms.values(), key=lambda s: (-len(s.peers), -s.downloads, s.info_hash)
        )
        return [self.count(swarm.info_hash) for swarm in swarms]

    def _stop(self, swarm: Swarm | None, announce: Announce) -> Chosen:
        if swarm is None:
            return Chosen(0, 0, 0, [])
        if (peer := swarm.peers.get(announce.compact)) is not None:
            self._forget(peer)
        return Chosen(swarm.seeds, swarm.leechers, swarm.downloads, [])

    def _new_swarm(self, info_hash: bytes, founder: bytes) -> Swarm:
        if self._allowed is not None and info_hash not in self._allowed:
            raise TrackerFailure("this tracker does not serve that torrent", retry_in_s=3600)
        if len(self._swarms) >= self._limits.max_torrents:
            if not self._idle:
                raise TrackerFailure("this tracker is full", retry_in_s=1800)
            self._drop_swarm(self._swarms[next(iter(self._idle))])
        founded = self._founded.get(founder, 0)
        is_crowded = len(self._swarms) >= self._limits.max_torrents * _CROWDED
        if is_crowded and founded >= self._limits.max_torrents_per_host:
            raise TrackerFailure("too many torrents from your address", retry_in_s=1800)
        self._founded[founder] = founded + 1
        swarm = self._swarms[info_hash] = Swarm(info_hash, founder)
        self._idle[info_hash] = None
        return swarm

    def _make_room(self, swarm: Swarm, compact: bytes) -> None:
        limits = self._limits
        if swarm.hosts.get(_host(compact), 0) >= limits.max_peers_per_host:
            raise TrackerFailure("too many peers from your address", retry_in_s=1800)
        if len(swarm.peers) >= limits.max_peers_per_torrent:
            pools = [pool for pool in swarm.pools if pool]
            pool = pools[int(self._rng.random() * len(pools))]
            self._forget(pool[int(self._rng.random() * len(pool))], keep_swarm=True)
        elif len(self._by_sight) >= limits.max_peers:
            oldest = next(iter(self._by_sight))
            self._forget(oldest, keep_swarm=oldest.swarm is swarm)

    def _add(self, swarm: Swarm, compact: bytes) -> Peer:
        peer = swarm.peers[compact] = Peer(swarm, compact)
        host = _host(compact)
        swarm.hosts[host] = swarm.hosts.get(host, 0) + 1
        self._by_sight[peer] = None
        self._idle.pop(swarm.info_hash, None)
        return peer

    def _forget(self, peer: Peer, *, keep_swarm: bool = False) -> None:
        swarm = peer.swarm
        self._leave_pool(peer)
        del self._by_sight[peer]
        del swarm.peers[peer.compact]
        host = _host(peer.compact)
        if swarm.hosts[host] == 1:
            del swarm.hosts[host]
        else:
            swarm.hosts[host] -= 1
        if not swarm.peers:
            self._idle[swarm.info_hash] = None
            if not swarm.downloads and not keep_swarm:
                self._drop_swarm(swarm)

    def _drop_swarm(self, swarm: Swarm) -> None:
        if self._swarms.pop(swarm.info_hash, None) is not None:
            if self._founded[swarm.founder] == 1:
                del self._founded[swarm.founder]
            else:
                self._founded[swarm.founder] -= 1
        self._idle.pop(swarm.info_hash, None)

    def _enter_pool(self, peer: Peer, index: int) -> None:
        pool = peer.swarm.pools[index]
        peer.pool = index
        peer.position = len(pool)
        pool.append(peer)
        self._pool_totals[index] += 1

    def _leave_pool(self, peer: Peer) -> None:
        if peer.pool < 0:
            return
        pool = peer.swarm.pools[peer.pool]
        last = pool.pop()
        if last is not peer:
            pool[peer.position] = last
            last.position = peer.position
        self._pool_totals[peer.pool] -= 1
        peer.pool = -1


def _host(compact: bytes) -> bytes:
    return compact[:4] if len(compact) == COMPACT_IPV4_BYTES else compact[:_IPV6_HOST_BYTES]
