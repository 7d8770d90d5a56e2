"""Rate limits where bytes pass, fair to all: every connection that has to wait gets the same.

    SharedLimit     one direction of the whole session: its bucket, and the queue of all who wait
    └─ Throttle     the same direction of one torrent: its own bucket below the shared one

Invariant: while somebody waits for a limit, nobody passes it out of turn. A turn is one small share
that is promised to its owner, since a socket is read only when the loop comes to it; and who takes
little of it is ahead of who always wants more, so that a message waits for no stream of blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable

from engine.core.fair_queue import FairQueue
from engine.core.rates import TokenBucket

_WAKE_GRAIN_S = 0.02
"""Waiters are looked at together and not more often than this, while the limit is reached. A share
that was not taken for so long is given to another."""
_MIN_SHARE_BYTES = 2 * 1024
_MAX_SHARE_BYTES = 64 * 1024
_SHARES_PER_S = 20
UNLIMITED = 1 << 30


class SharedLimit:
    """The session's limit in one direction. `rate` is bytes a second, 0 = none."""

    __slots__ = ("_granted", "_loop", "_queue", "_timer", "_waiting", "bucket")

    def __init__(self, loop: asyncio.AbstractEventLoop, rate: int) -> None:
        self._loop = loop
        self.bucket = TokenBucket(rate, loop.time())
        self._queue: FairQueue[Hashable] = FairQueue()
        self._waiting: dict[Hashable, tuple[Throttle, Callable[[], None]]] = {}
        self._granted: dict[Hashable, tuple[Throttle, int]] = {}
        """Whose turn it is, and bytes that are kept for them."""
        self._timer: asyncio.Handle | None = None

    @property
    def rate(self) -> int:
        return self.bucket.rate

    @property
    def is_crowded(self) -> bool:
        """Somebody waits, or has a share and has not taken it yet."""
        return bool(self._waiting or self._granted)

    def set_rate(self, rate: int) -> None:
        self.bucket.set_rate(rate, self._loop.time())
        self.look_again()

    def look_again(self) -> None:
        """Serve those who wait as the limits are now. Must be called when one was changed."""
        if self._waiting:
            self._serve()

    def wait(self, throttle: Throttle, who: Hashable, wake: Callable[[], None]) -> None:
        """Call `wake` once when it is the turn of `who`; asking twice is asking once."""
        if who not in self._waiting:
            self._waiting[who] = throttle, wake
            throttle.waiting += 1
            self._queue.join(who)
        if self._timer is None:
            self._schedule()

    def claim(self, who: Hashable) -> int:
        """The share that is kept for `who`, or 0; it must be taken now or is lost."""
        granted = self._granted.pop(who, None)
        if granted is None:
            return 0
        throttle, share = granted
        throttle.granted -= share
        return share

    def took(self, who: Hashable, amount: int, now: float) -> None:
        self.bucket.take(amount, now)
        self._queue.took(who, amount)
        if self._waiting and not self._granted and self.bucket.available(now) > 0:
            self._serve_soon()

    def forget(self, throttle: Throttle) -> None:
        """Let nobody of this torrent wait any more."""
        for who in [who for who, (owner, _) in self._waiting.items() if owner is throttle]:
            del self._waiting[who]
            self._queue.leave(who)
        for who in [who for who, (owner, _) in self._granted.items() if owner is throttle]:
            del self._granted[who]
        throttle.waiting = throttle.granted = 0
        if not self._waiting:
            self._cancel()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        now = self._loop.time()
        own_s = min(throttle.own.ready_in(1, now) for throttle, _ in self._waiting.values())
        delay_s = max(self.bucket.ready_in(1, now), own_s, _WAKE_GRAIN_S)
        self._timer = self._loop.call_later(delay_s, self._serve)

    def _serve_soon(self) -> None:
        self._cancel()
        self._timer = self._loop.call_soon(self._serve)

    def _serve(self) -> None:
        self._cancel()
        for throttle, _ in self._granted.values():
            throttle.granted = 0
        self._granted.clear()
        kept = 0
        for who in self._queue.order():
            now = self._loop.time()
            if self.bucket.available(now) <= kept:
                break
            owner, _ = self._waiting.get(who, (None, None))  # another that was woken may end it
            if owner is not None and owner.own.available(now) > owner.granted:
                kept += self._begin_turn(who)
        if self._waiting and self._timer is None:
            self._schedule()

    def _begin_turn(self, who: Hashable) -> int:
        """Wake one that waits; return how much is kept for it when it is not taken at once."""
        throttle, wake = self._waiting.pop(who)
        throttle.waiting -= 1
        self._queue.begin_turn(who)
        if throttle.is_limited:
            self._granted[who] = throttle, throttle.share
            throttle.granted += throttle.share
        wake()
        return self._granted[who][1] if who in self._granted else 0


class Throttle:
    """Answers how many bytes of one torrent may pass now, and wakes those who had to wait. Who
    asks is any object that is the same each time: a connection's owner."""

    __slots__ = ("_loop", "granted", "own", "shared", "waiting")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, own: TokenBucket, shared: SharedLimit
    ) -> None:
        self._loop = loop
        self.own = own
        self.shared = shared
        self.waiting = 0
        """How many of this torrent wait."""
        self.granted = 0
        """Bytes that are kept for those of this torrent whose turn it is."""

    @property
    def is_limited(self) -> bool:
        return bool(self.own.rate or self.shared.bucket.rate)

    @property
    def share(self) -> int:
        """Bytes of a turn."""
        rate = min(self.own.rate or UNLIMITED, self.shared.bucket.rate or UNLIMITED)
        return min(_MAX_SHARE_BYTES, max(_MIN_SHARE_BYTES, rate // _SHARES_PER_S))

    def quota(self, who: Hashable) -> int:
        """Bytes that may pass now: none or a whole share, as trickles would cost more than they
        carry. What of it was not there yet is a debt that time repays."""
        own, shared = self.own, self.shared
        if not self.is_limited:
            return UNLIMITED
        if share := shared.claim(who):
            return share
        if self.waiting or self.granted or (shared.bucket.rate and shared.is_crowded):
            return 0
        now = self._loop.time()
        if min(own.available(now), shared.bucket.available(now)) <= 0:
            return 0
        return self.share

    def take(self, amount: int, who: Hashable) -> None:
        """Account for bytes that passed."""
        if self.is_limited:
            now = self._loop.time()
            self.own.take(amount, now)
            self.shared.took(who, amount, now)

    def wait(self, who: Hashable, wake: Callable[[], None]) -> None:
        """Call `wake` once when bytes may pass again; asking twice is asking once."""
        self.shared.wait(self, who, wake)

    def close(self) -> None:
        self.shared.forget(self)
