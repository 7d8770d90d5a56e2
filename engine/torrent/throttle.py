"""Rate limits where bytes pass, fair to all: who had to wait is served in the order of waiting.

    SharedLimit     one direction of the whole session: its bucket, and the queue of all who wait
    └─ Throttle     the same direction of one torrent: its own bucket below the shared one

Invariant: while somebody waits for a limit, nobody passes it out of turn, and a turn is one small
share, so that no connection of whatever torrent is starved by the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.core.rates import TokenBucket

_WAKE_GRAIN_S = 0.02
"""Waiters are looked at together and not more often than this."""
_MIN_SHARE_BYTES = 16 * 1024
_MAX_SHARE_BYTES = 64 * 1024
_SHARES_PER_S = 20
UNLIMITED = 1 << 30


class SharedLimit:
    """The session's limit in one direction. `rate` is bytes a second, 0 = none."""

    __slots__ = ("_loop", "_timer", "_waiting", "bucket", "is_turn")

    def __init__(self, loop: asyncio.AbstractEventLoop, rate: int) -> None:
        self._loop = loop
        self.bucket = TokenBucket(rate, loop.time())
        self._waiting: dict[Callable[[], None], Throttle] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.is_turn = False
        """Somebody is being woken, and may take one share."""

    @property
    def rate(self) -> int:
        return self.bucket.rate

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def set_rate(self, rate: int) -> None:
        self.bucket.set_rate(rate, self._loop.time())
        self.look_again()

    def look_again(self) -> None:
        """Serve those who wait as the limits are now. Must be called when one was changed."""
        if self._timer is not None:
            self._timer.cancel()
            self._serve()

    def wait(self, throttle: Throttle, wake: Callable[[], None]) -> None:
        """Call `wake` once when it is its turn; asking twice is asking once."""
        if wake not in self._waiting:
            self._waiting[wake] = throttle
            throttle.waiting += 1
        if self._timer is None:
            self._schedule()

    def forget(self, throttle: Throttle) -> None:
        """Let nobody of this torrent wait any more."""
        for wake in [wake for wake, owner in self._waiting.items() if owner is throttle]:
            del self._waiting[wake]
        throttle.waiting = 0
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        now = self._loop.time()
        own_s = min(throttle.own.ready_in(1, now) for throttle in self._waiting.values())
        delay_s = max(self.bucket.ready_in(1, now), own_s, _WAKE_GRAIN_S)
        self._timer = self._loop.call_later(delay_s, self._serve)

    def _serve(self) -> None:
        self._timer = None
        for wake, throttle in list(self._waiting.items()):
            if self.bucket.available(self._loop.time()) <= 0:
                break
            if throttle.own.available(self._loop.time()) > 0 and wake in self._waiting:
                del self._waiting[wake]
                throttle.waiting -= 1
                self.is_turn = True
                wake()
                self.is_turn = False
        if self._waiting and self._timer is None:
            self._schedule()


class Throttle:
    """Answers how many bytes of one torrent may pass now, and wakes those who had to wait."""

    __slots__ = ("_loop", "own", "shared", "waiting")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, own: TokenBucket, shared: SharedLimit
    ) -> None:
        self._loop = loop
        self.own = own
        self.shared = shared
        self.waiting = 0
        """How many of this torrent wait."""

    def quota(self) -> int:
        """Bytes that may pass now: none or a whole share, as trickles would cost more than they
        carry. What of it was not there yet is a debt that time repays."""
        own, shared = self.own, self.shared
        if not own.rate and not shared.bucket.rate:
            return UNLIMITED
        if not shared.is_turn and (self.waiting or (shared.bucket.rate and shared.has_waiting)):
            return 0
        now = self._loop.time()
        if min(own.available(now), shared.bucket.available(now)) <= 0:
            return 0
        rate = own.rate or shared.bucket.rate
        return min(_MAX_SHARE_BYTES, max(_MIN_SHARE_BYTES, rate // _SHARES_PER_S))

    def take(self, amount: int) -> None:
        """Account for bytes that passed."""
        if self.own.rate or self.shared.bucket.rate:
            now = self._loop.time()
            self.own.take(amount, now)
            self.shared.bucket.take(amount, now)
            self.shared.is_turn = False

    def wait(self, wake: Callable[[], None]) -> None:
        """Call `wake` once when bytes may pass again; asking twice is asking once."""
        self.shared.wait(self, wake)

    def close(self) -> None:
        self.shared.forget(self)
