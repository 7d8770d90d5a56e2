"""Rate limits where bytes pass: one direction of one torrent, below the session's own limit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.core.rates import TokenBucket

_WAKE_GRAIN_S = 0.02
"""Waiters are woken together and not more often than this."""
_SHARE_BYTES = 64 * 1024
"""The most one connection takes at a time while a limit is on, so that others get their turn."""
UNLIMITED = 1 << 30


class Throttle:
    """Answers how many bytes may pass now, and wakes those who had to wait."""

    __slots__ = ("_loop", "_timer", "_waiting", "own", "shared")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, own: TokenBucket, shared: TokenBucket
    ) -> None:
        self._loop = loop
        self.own = own
        self.shared = shared
        self._waiting: dict[Callable[[], None], None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def quota(self) -> int:
        """Bytes that may pass now. The last of them may be overdrawn: that is repaid by time."""
        if not self.own.rate and not self.shared.rate:
            return UNLIMITED
        now = self._loop.time()
        return int(min(self.own.available(now), self.shared.available(now), _SHARE_BYTES))

    def take(self, amount: int) -> None:
        """Account for bytes that passed."""
        if self.own.rate or self.shared.rate:
            now = self._loop.time()
            self.own.take(amount, now)
            self.shared.take(amount, now)

    def wait(self, wake: Callable[[], None]) -> None:
        """Call `wake` once when bytes may pass again; asking twice is asking once."""
        self._waiting[wake] = None
        if self._timer is None:
            now = self._loop.time()
            delay = max(self.own.ready_in(1, now), self.shared.ready_in(1, now), _WAKE_GRAIN_S)
            self._timer = self._loop.call_later(delay, self._wake)

    def tick(self) -> None:
        """Once a second: a limit may have been raised or lifted while some wait for the old one."""
        if self._timer is not None and self.quota() > 0:
            self._timer.cancel()
            self._wake()

    def _wake(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, {}
        for wake in waiting:
            wake()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting.clear()
