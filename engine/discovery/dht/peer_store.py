"""The peers that others announced to this node (BEP 5, 33): bounded, expiring, one per address.

In local networks one address may well be several peers: there they are told apart by port.

Nobody can fill it alone: torrents, peers of a torrent, and torrents of one host are limited, and
when the store is full, the smallest swarm of a few chosen by chance makes room.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from engine.core.compact import Endpoint
from engine.core.scope import is_local
from engine.discovery.dht.bloom import BloomFilter
from engine.discovery.dht.key_pool import KeyPool

if TYPE_CHECKING:
    from random import Random

PEER_LIFETIME_S = 2700.0
"""Clients announce every 15 to 30 minutes."""
MAX_TORRENTS = 2000
MAX_PEERS_PER_TORRENT = 500
MAX_TORRENTS_PER_HOST = 100
EVICTION_SAMPLE = 8

MAX_SAMPLES = 20
"""Info-hashes in a reply to `sample_infohashes` (BEP 51): 400 bytes of it."""
SAMPLE_INTERVAL_S = 900.0
SCRAPE_INTERVAL_S = 60.0
"""The filters of a torrent are made at most this often, however often they are asked for."""


class _Peer:
    __slots__ = ("endpoint", "expires_at", "is_seed")

    def __init__(self, endpoint: Endpoint, is_seed: bool, expires_at: float) -> None:
        self.endpoint = endpoint
        self.is_seed = is_seed
        self.expires_at = expires_at


class _Swarm:
    __slots__ = ("filters", "filters_until", "peers")

    def __init__(self) -> None:
        self.peers: dict[str, _Peer] = {}
        self.filters = (b"", b"")
        self.filters_until = float("-inf")


class PeerStore:
    def __init__(self, rng: Random, *, max_torrents: int = MAX_TORRENTS) -> None:
        self._rng = rng
        self._max_torrents = max_torrents
        self._swarms: dict[bytes, _Swarm] = {}
        self._info_hashes = KeyPool(rng)
        self._torrents_of: Counter[str] = Counter()
        self._sample: tuple[bytes, ...] = ()
        self._sampled_until = float("-inf")

    @property
    def torrent_count(self) -> int:
        return len(self._swarms)

    def announce(self, info_hash: bytes, peer: Endpoint, now: float, *, is_seed: bool) -> bool:
        """Note a peer; its port and role are updated when it is known. Returns False when full."""
        swarm = self._swarms.get(info_hash)
        name = _name(peer)
        known = swarm.peers.get(name) if swarm else None
        if known is not None:
            known.endpoint, known.is_seed = peer, is_seed
            known.expires_at = now + PEER_LIFETIME_S
            return True
        if swarm is not None and len(swarm.peers) >= MAX_PEERS_PER_TORRENT:
            self._drop_expired(swarm, now)
        if not self.takes(info_hash, peer):
            return False
        if swarm is None:
            swarm = self._add_swarm(info_hash)
        swarm.peers[name] = _Peer(peer, is_seed, now + PEER_LIFETIME_S)
        self._torrents_of[name] += 1
        return True

    def takes(self, info_hash: bytes, peer: Endpoint) -> bool:
        """Say whether an announce would be kept; if not, no token is given for it (BEP 33)."""
        swarm = self._swarms.get(info_hash)
        name = _name(peer)
        if swarm is not None and name in swarm.peers:
            return True
        has_room = swarm is None or len(swarm.peers) < MAX_PEERS_PER_TORRENT
        return has_room and self._torrents_of[name] < MAX_TORRENTS_PER_HOST

    def peers(
        self, info_hash: bytes, count: int, now: float, *, no_seeds: bool = False
    ) -> list[Endpoint]:
        """Choose up to `count` peers by chance; `no_seeds` leaves out those that are complete."""
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            return []
        found = [
            peer.endpoint
            for peer in swarm.peers.values()
            if peer.expires_at > now and not (no_seeds and peer.is_seed)
        ]
        return self._rng.sample(found, count) if len(found) > count else found

    def scrape(self, info_hash: bytes, now: float) -> tuple[bytes, bytes] | None:
        """Return the (seeds, downloaders) of a torrent as BEP 33's filters; None = no such here."""
        swarm = self._swarms.get(info_hash)
        if swarm is None:
            return None
        if now >= swarm.filters_until:
            seeds, others = BloomFilter(), BloomFilter()
            for peer in swarm.peers.values():
                if peer.expires_at > now:
                    (seeds if peer.is_seed else others).add(peer.endpoint.packed_host())
            swarm.filters = (bytes(seeds), bytes(others))
            swarm.filters_until = now + SCRAPE_INTERVAL_S
        return swarm.filters

    def sample(self, now: float) -> tuple[tuple[bytes, ...], int]:
        """Return (some info-hashes, seconds until there are others) (BEP 51)."""
        if len(self._info_hashes) <= MAX_SAMPLES:
            return tuple(self._info_hashes), 0
        if now >= self._sampled_until:
            self._sample = tuple(self._info_hashes.some(MAX_SAMPLES))
            self._sampled_until = now + SAMPLE_INTERVAL_S
        return self._sample, round(self._sampled_until - now)

    def expire(self, now: float) -> None:
        """Let go of what is too old. Must be called every few minutes."""
        for info_hash, swarm in list(self._swarms.items()):
            self._drop_expired(swarm, now)
            if not swarm.peers:
                self._remove_swarm(info_hash)

    def _drop_expired(self, swarm: _Swarm, now: float) -> None:
        for name in [name for name, peer in swarm.peers.items() if peer.expires_at <= now]:
            del swarm.peers[name]
            self._forget(name)

    def _add_swarm(self, info_hash: bytes) -> _Swarm:
        if len(self._swarms) >= self._max_torrents:
            some = self._info_hashes.some(EVICTION_SAMPLE)
            self._remove_swarm(min(some, key=lambda each: len(self._swarms[each].peers)))
        self._info_hashes.add(info_hash)
        swarm = self._swarms[info_hash] = _Swarm()
        return swarm

    def _remove_swarm(self, info_hash: bytes) -> None:
        for name in self._swarms.pop(info_hash).peers:
            self._forget(name)
        self._info_hashes.remove(info_hash)

    def _forget(self, name: str) -> None:
        self._torrents_of[name] -= 1
        if not self._torrents_of[name]:
            del self._torrents_of[name]


def _name(peer: Endpoint) -> str:
    return str(peer) if is_local(peer.host) else peer.host
