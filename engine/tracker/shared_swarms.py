"""Swarms that several trackers share, in Valkey or Redis: whoever is asked knows all peers (BEP 3).

One script a request, so that two trackers never see a peer half moved; the scripts say how it is
kept and forgotten (shared_scripts.py). While Valkey cannot be reached every request is refused with
a reason, at once after the first, and it goes on by itself. Needs the extra `shared-tracker`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Collection, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.errors import SettingsError, TrackerFailure
from engine.tracker.shared_scripts import ANNOUNCE, CENSUS, COUNT
from engine.tracker.swarm_table import (
    COMPACT_IPV4_BYTES,
    POOLS_FOR_LEECHER,
    POOLS_FOR_SEED,
    POOLS_OF_SEEDS,
    Announce,
    Chosen,
    Event,
    Families,
    Limits,
    SwarmCount,
)
from engine.tracker.swarms import Census, largest_of

if TYPE_CHECKING:
    from redis.commands.core import AsyncScript

PREFIX = "seedwright:"
TIMEOUT_S = 2.0
"""For an answer; and so long a request is refused at once after one that failed."""
RETRY_IN_S = 60.0
"""When a client is told to try again."""
_TELL_AGAIN_S = 60.0
_CONNECTIONS = 32
_UNDER_WAY = 2048
"""Requests at once; further ones are refused."""
_KEEP_DOWNLOADS_S = 30 * 86_400
"""A torrent that nobody announces for so long counts from zero again."""
_COMPACT_BYTES = (COMPACT_IPV4_BYTES, 18)
"""Of an address with its port, in IPv4 and IPv6."""
_PEER_ID_BYTES = 20
_HASH = re.compile(rb"[0-9a-f]{40}")
_SCHEMES = ("redis://", "rediss://", "valkey://", "valkeys://", "unix://")
_log = logging.getLogger(__name__)


class SharedPeer(NamedTuple):
    compact: bytes
    peer_id: bytes


def is_url(text: str) -> bool:
    return text.startswith(_SCHEMES)


class SharedSwarms:
    """All swarms of all trackers at one Valkey. `open` it, and `close` it."""

    def __init__(
        self, url: str, rng: Random, *, expiry_s: float, limits: Limits, prefix: str = PREFIX
    ) -> None:
        """`url` is redis://, rediss:// (TLS), valkey://, valkeys:// or unix://. A peer is forgotten
        after a silence of half of `expiry_s` to all of it. Raises SettingsError: no such address,
        or the client library is not installed."""
        try:
            from redis import asyncio as redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import ConnectionError as Disconnected
            from redis.exceptions import RedisError, ResponseError
        except ImportError as error:
            raise SettingsError(
                "shared swarms need the client library: pip install 'seedwright[shared-tracker]'"
            ) from error
        if not is_url(url):
            raise SettingsError(f"expected one of {', '.join(_SCHEMES)}, not {url!r}")
        self._rng = rng
        self._limits = limits
        self._prefix = prefix.encode()
        self._span_s = max(1, round(expiry_s / 2))
        self._allowed: frozenset[bytes] | None = None
        self._faults = (RedisError, OSError, TimeoutError)
        self._refusals = ResponseError
        self._down_until = 0.0
        self._told_refusal_at = -math.inf
        self._under_way = 0
        self._turns = asyncio.Semaphore(_CONNECTIONS)
        try:
            self._pool: Any = redis.ConnectionPool.from_url(
                url.replace("valkey", "redis", 1) if url.startswith("valkey") else url,
                max_connections=_CONNECTIONS,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                # Connections that ended while they rested, as when Valkey was started anew.
                retry=Retry(NoBackoff(), 1, supported_errors=(Disconnected,)),
                client_name="seedwright-tracker",
            )
        except (ValueError, RedisError) as error:
            raise SettingsError(f"the address of Valkey: {error}") from error
        self._client: Any = redis.Redis(connection_pool=self._pool)
        self._announce: AsyncScript = self._client.register_script(ANNOUNCE)
        self._count: AsyncScript = self._client.register_script(COUNT)
        self._census: AsyncScript = self._client.register_script(CENSUS)

    async def open(self) -> None:
        """See that it answers. Raises SettingsError."""
        try:
            await self._client.ping()
        except self._faults as error:
            raise SettingsError(f"Valkey does not answer: {_reason(error)}") from error

    async def close(self) -> None:
        await self._client.aclose()
        await self._pool.aclose()

    async def agree(self, secret: bytes) -> bytes:
        """Return the secret that all trackers here use, ours if we are the first: an id that one of
        them gave out is good at all (BEP 15)."""
        key = self._prefix + b"secret"
        try:
            await self._client.set(key, secret, nx=True)
            return bytes(await self._client.get(key) or secret)
        except self._faults:
            return secret

    # ── what the servers ask (Swarms) ───────────────────────────────────────────────────────────

    @property
    def is_open(self) -> bool:
        return self._allowed is None

    def allow(self, allowed: Collection[bytes] | None) -> None:
        self._allowed = None if allowed is None else frozenset(map(bytes, allowed))

    async def announce(self, announce: Announce, now: float) -> Chosen:
        if self._allowed is not None and announce.info_hash not in self._allowed:
            raise TrackerFailure("this tracker does not serve that torrent", retry_in_s=3600)
        compact, is_seed = announce.compact, announce.left == 0
        pool = (0 if len(compact) == COMPACT_IPV4_BYTES else 2) + is_seed
        rather = (
            _pools(POOLS_OF_SEEDS[announce.families])
            if is_seed and announce.event == Event.STARTED
            else ""
        )
        asked = (POOLS_FOR_SEED if is_seed else POOLS_FOR_LEECHER)[announce.families]
        limits = self._limits
        answer = await self._run(
            self._announce,
            *(announce.info_hash.hex(), compact, announce.peer_id, pool, int(announce.event)),
            *(announce.numwant, _pools(asked), rather, limits.max_torrents),
            *(limits.max_torrents_per_host, limits.max_peers, limits.max_peers_per_torrent),
            *(limits.max_peers_per_host, _KEEP_DOWNLOADS_S, self._rng.getrandbits(31)),
        )
        if isinstance(answer, bytes):
            raise TrackerFailure(answer.decode(), retry_in_s=1800)
        seeds, leechers, downloads, *told = answer
        peers = [
            SharedPeer(address, value[:-1])
            for address, value in zip(told[::2], told[1::2], strict=True)
            # What nobody of us wrote would shift all peers behind it.
            if len(address) in _COMPACT_BYTES and len(value) == _PEER_ID_BYTES + 1
        ]
        if announce.families == Families.BOTH:
            # Who is reached over both families announces twice and need not hear of itself.
            peers = [
                peer
                for peer in peers
                if peer.peer_id != announce.peer_id or len(peer.compact) == len(compact)
            ]
        return Chosen(seeds, leechers, downloads, peers)

    async def counts(self, info_hashes: Sequence[bytes], now: float) -> list[SwarmCount]:
        if not info_hashes:
            return []
        found = iter(await self._run(self._count, *(each.hex() for each in info_hashes)))
        return [
            SwarmCount(each, *numbers)
            for each, numbers in zip(
                info_hashes, zip(found, found, found, strict=True), strict=True
            )
        ]

    async def census(self, most: int, now: float) -> Census:
        torrents, downloads, pools, hashes = await self._run(self._census, most)
        known = [bytes.fromhex(each.decode()) for each in hashes if _HASH.fullmatch(each)]
        leechers, seeds, leechers6, seeds6 = pools
        return Census(
            torrents,
            sum(pools),
            seeds + seeds6,
            leechers + leechers6,
            leechers6 + seeds6,
            downloads,
            largest_of(await self.counts(known, now), most) if torrents <= most else None,
        )

    # ── inside ──────────────────────────────────────────────────────────────────────────────────

    async def _run(self, script: AsyncScript, *arguments: bytes | str | int) -> Any:
        """Run one of the scripts. Raises TrackerFailure."""
        if self._under_way >= _UNDER_WAY:
            raise TrackerFailure("this tracker is busy", RETRY_IN_S)
        self._under_way += 1
        try:
            async with self._turns:
                if time.monotonic() < self._down_until:
                    raise _unreachable()
                answer = await script(keys=[self._prefix], args=[self._span_s, *arguments])
        except self._refusals as error:
            # It answers; of a key that somebody else wrote one swarm suffers, and not all.
            if time.monotonic() - self._told_refusal_at >= _TELL_AGAIN_S:
                self._told_refusal_at = time.monotonic()
                _log.error("Valkey refuses: %s", _reason(error))
            raise _unreachable() from error
        except self._faults as error:
            if not self._down_until:
                _log.error("Valkey does not answer; refusing until it does: %s", _reason(error))
            self._down_until = time.monotonic() + TIMEOUT_S
            raise _unreachable() from error
        finally:
            self._under_way -= 1
        if self._down_until:
            self._down_until = 0.0
            _log.info("Valkey answers again")
        return answer


def _pools(indexes: Sequence[int]) -> str:
    return "".join(map(str, indexes))


def _unreachable() -> TrackerFailure:
    return TrackerFailure("this tracker cannot reach what it knows: try again soon", RETRY_IN_S)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
