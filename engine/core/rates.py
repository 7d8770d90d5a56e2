"""Rates: a token bucket that limits, and an estimate that measures.

Time is an argument, in seconds of any clock that does not jump.
"""

from __future__ import annotations

import math


class TokenBucket:
    """Lets `rate` bytes a second pass, in bursts of `burst_s` seconds' worth; rate 0 = no limit."""

    __slots__ = ("_burst_s", "_level", "_stamp", "rate")

    def __init__(self, rate: int, now: float, *, burst_s: float = 0.25) -> None:
        self.rate = rate
        self._burst_s = burst_s
        self._level = rate * burst_s
        self._stamp = now

    def set_rate(self, rate: int, now: float) -> None:
        self._refill(now)
        self.rate = rate
        self._level = min(self._level, rate * self._burst_s)

    def _refill(self, now: float) -> None:
        if now > self._stamp:
            self._level = min(
                self._level + (now - self._stamp) * self.rate, self.rate * self._burst_s
            )
        self._stamp = max(now, self._stamp)

    def available(self, now: float) -> float:
        """Bytes that may pass now; infinite without a limit, never negative."""
        if not self.rate:
            return math.inf
        self._refill(now)
        return max(0.0, self._level)

    def take(self, amount: int, now: float) -> None:
        """Account for bytes that passed. The level may go below zero: a debt that time repays."""
        if self.rate:
            self._refill(now)
            self._level -= amount

    def ready_in(self, amount: int, now: float) -> float:
        """Seconds until `amount` bytes (at most one burst) may pass."""
        if not self.rate:
            return 0.0
        self._refill(now)
        wanted = min(amount, self.rate * self._burst_s)
        return max(0.0, (wanted - self._level) / self.rate)


class RateEstimate:
    """Exponentially weighted bytes a second; `half_life_s` is how fast the past fades.

    An average that begins at 0 is too low for some half-lives: it is divided by the weight of the
    time it has seen, so that a flow shows its true rate from the first second on. Where nothing
    came for FORGOTTEN_AFTER half-lives the rate is 0, and the next flow begins anew: else its rest
    would be shown long after the flow.
    """

    FORGOTTEN_AFTER = 6
    SHORTEST_START_S = 0.5
    """Time that a beginning flow counts at least: a burst in a millisecond is no rate."""
    LONGEST_START_S = 2.0
    """And at most: without a flow there may be no updates, and the time since says nothing."""

    __slots__ = (
        "_average",
        "_decay",
        "_forget_s",
        "_least_weight",
        "_moved_at",
        "_pending",
        "_rate",
        "_stamp",
        "_weight",
        "total",
    )

    def __init__(self, now: float, *, half_life_s: float = 3.0) -> None:
        self._decay = math.log(2) / half_life_s
        self._forget_s = self.FORGOTTEN_AFTER * half_life_s
        self._least_weight = -math.expm1(-self._decay * self.SHORTEST_START_S)
        self._moved_at = now
        self._average = 0.0
        self._weight = 0.0
        self._rate = 0.0
        self._pending = 0
        self._stamp = now
        self.total = 0

    def add(self, amount: int) -> None:
        """Count bytes. Cheap enough for every batch of the hot road: no clock is read."""
        self._pending += amount
        self.total += amount

    def update(self, now: float) -> float:
        """Fold in what was added since, and return the rate. Must be called about once a second."""
        elapsed = now - self._stamp
        if elapsed > 0:
            if not self._weight:
                elapsed = min(elapsed, self.LONGEST_START_S)
            # expm1 and this order keep the shortest steps exact; nothing here turns into NaN.
            fade = -math.expm1(-self._decay * elapsed)
            self._average += self._pending * (fade / elapsed) - self._average * fade
            self._weight += fade - self._weight * fade
            self._rate = self._average / max(self._weight, self._least_weight)
            if self._pending:
                self._moved_at = now
            elif self._rate < 1 or now - self._moved_at >= self._forget_s:
                self._average = self._weight = self._rate = 0.0
            self._pending = 0
            self._stamp = now
        return self._rate

    def stop(self) -> None:
        """The flow was cut: the rate is 0 at once. The total stays."""
        self._average = self._weight = self._rate = 0.0
        self._pending = 0

    def cut(self, part: RateEstimate) -> None:
        """A part of this flow, which is estimated alike, was cut: both go on without it at once."""
        self._average = max(0.0, self._average - part._average)
        self._rate = max(0.0, self._rate - part._rate)
        self._pending = max(0, self._pending - part._pending)
        part.stop()

    @property
    def rate(self) -> float:
        """Bytes a second as of the last update."""
        return self._rate
