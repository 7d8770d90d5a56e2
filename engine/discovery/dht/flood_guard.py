"""How much of a stranger's traffic is read and answered: limits for each network and for all.

Datagrams carry any source address that their sender likes. What we send to one network is limited,
so that we are no use as an amplifier, and what we read altogether, so that a flood costs little.
"""

from __future__ import annotations

from collections import OrderedDict

from engine.core.compact import Endpoint
from engine.core.rates import TokenBucket
from engine.core.scope import is_local, network_of

QUERIES_PER_S = 10.0
BURST = 60.0
"""A client that starts asks for all of its torrents at once."""
ALL_QUERIES_PER_S = 500
REPLY_BYTES_PER_S = 65_536
REPLY_BURST_S = 4.0
MAX_SOURCES = 2000


class _Level:
    __slots__ = ("at", "left")

    def __init__(self, now: float) -> None:
        self.left = BURST
        self.at = now


class FloodGuard:
    def __init__(self, now: float, *, reply_bytes_per_s: int = REPLY_BYTES_PER_S) -> None:
        """`reply_bytes_per_s` limits what all strangers together are answered; 0 = no limit."""
        self._sources: OrderedDict[bytes | str, _Level] = OrderedDict()
        self._everybody = TokenBucket(ALL_QUERIES_PER_S, now, burst_s=2.0)
        self._replies = TokenBucket(reply_bytes_per_s, now, burst_s=REPLY_BURST_S)

    def __len__(self) -> int:
        return len(self._sources)

    def may_read(self, source: Endpoint, now: float) -> bool:
        """Account for a datagram of a stranger; False = do not even look at it."""
        # In a local network many nodes may share one address, and nobody gains from floods.
        key = str(source) if is_local(source.host) else network_of(source.host)
        level = self._sources.get(key)
        if level is None:
            # The source that was quiet for longest goes: it has its whole burst again anyway.
            if len(self._sources) >= MAX_SOURCES:
                self._sources.popitem(last=False)
            level = self._sources[key] = _Level(now)
        self._sources.move_to_end(key)
        level.left = min(BURST, level.left + max(0.0, now - level.at) * QUERIES_PER_S)
        level.at = max(level.at, now)
        if level.left < 1.0 or self._everybody.available(now) < 1.0:
            return False
        level.left -= 1.0
        self._everybody.take(1, now)
        return True

    def may_answer(self, length_bytes: int, now: float) -> bool:
        """Account for an answer to a stranger; False = do not send it."""
        if self._replies.available(now) < length_bytes:
            return False
        self._replies.take(length_bytes, now)
        return True
