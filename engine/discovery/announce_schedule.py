"""When one tracker is announced to, and what it is owed (BEP 3, 31).

A plain record with two times, so that ten thousand torrents need no task and no timer each. The
owner asks `is_due`, calls `begin`, announces, and must then call exactly one of `succeeded`,
`failed` and `abandoned`. An event that a tracker is owed survives failures until it was delivered.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from engine.discovery.announce import AnnounceEvent, AnnounceReply
from engine.errors import TrackerError, TrackerFailure

if TYPE_CHECKING:
    from random import Random

MIN_INTERVAL_S = 60.0
"""No tracker is asked for more often by its own reply, whatever interval it gives."""

FIRST_BACK_OFF_S = 15.0
MAX_BACK_OFF_S = 3600.0
JITTER = 0.2
"""Back-offs are spread by ±20 %: a tracker that comes back is not met by everyone at once."""

STOPPED_ATTEMPTS = 4
"""A `stopped` that was refused this often is let go: the tracker forgets us by itself."""


class AnnounceSchedule:
    """The state of our acquaintance with one tracker; times are those of the owner's clock.

    `next_at` is when something is to be said to it (inf = nothing is), `earliest_at` is from when
    on it may be: after its `min interval`, our back-off, BEP 31's `retry in`.
    """

    __slots__ = (
        "_completed_owed",
        "_in_flight",
        "_min_interval_s",
        "_polite_at",
        "_retry_at",
        "_rng",
        "_running",
        "_started_owed",
        "_stop_attempts",
        "_stopped_owed",
        "_wanted_during_flight",
        "failures",
        "is_known",
        "next_at",
        "tracker_id",
    )

    def __init__(self, rng: Random, *, min_interval_s: float = MIN_INTERVAL_S) -> None:
        """`min_interval_s` replaces MIN_INTERVAL_S where announces cost nothing, as on loopback."""
        self._rng = rng
        self._min_interval_s = min_interval_s
        self._running = False
        self._in_flight: AnnounceEvent | None = None
        self._started_owed = self._completed_owed = self._stopped_owed = False
        self._stop_attempts = 0
        self._wanted_during_flight = False
        self._retry_at = self._polite_at = -math.inf
        self.next_at = math.inf
        self.failures = 0
        """Failures in a row."""
        self.is_known = False
        """The tracker has, or may have, listed us since we started."""
        self.tracker_id = b""

    @property
    def is_announcing(self) -> bool:
        return self._in_flight is not None

    @property
    def event(self) -> AnnounceEvent:
        """What the next announce will say."""
        if self._stopped_owed:
            # A download that was completed just before it was stopped still counts as one.
            return AnnounceEvent.COMPLETED if self._completed_owed else AnnounceEvent.STOPPED
        if self._started_owed:
            return AnnounceEvent.STARTED
        return AnnounceEvent.COMPLETED if self._completed_owed else AnnounceEvent.NONE

    @property
    def owes_event(self) -> bool:
        return self.event is not AnnounceEvent.NONE

    @property
    def earliest_at(self) -> float:
        """An event need not wait for the `min interval`, but back-off and "never" hold for it."""
        return self._retry_at if self.owes_event else max(self._polite_at, self._retry_at)

    def is_due(self, now: float) -> bool:
        return self._in_flight is None and now >= self.next_at

    def start(self, now: float) -> None:
        """Owe it a `started`. A `stopped` that was not delivered is not owed any more."""
        if self._running:
            return
        self._running = True
        self._started_owed = True
        self._stopped_owed = self._completed_owed = False
        self.next_at = max(now, self._retry_at)

    def completed(self, now: float) -> None:
        """Must be called when the download completes, not when a complete torrent starts."""
        if self._running and self.is_known:
            self._completed_owed = True
            self.next_at = max(now, self._retry_at)
        elif self._running and self._in_flight is not None:
            # Its `started` under way says that something is missing: it wants to hear of the rest.
            self._completed_owed = True

    def stop(self, now: float) -> None:
        """Owe it a `stopped` if it may list us; else nothing more is said to it."""
        if not self._running:
            return
        self._running = False
        self._started_owed = self._wanted_during_flight = False
        self._stop_attempts = 0
        self._stopped_owed = self.is_known
        self._completed_owed = self._completed_owed and self.is_known
        self.next_at = max(now, self._retry_at) if self._stopped_owed else math.inf

    def want(self, now: float) -> float:
        """Announce as soon as is allowed, for the user or for want of peers; returns when."""
        if not self._running:
            return math.inf
        if self._in_flight is not None:
            self._wanted_during_flight = True
        self.next_at = min(self.next_at, max(now, self.earliest_at))
        return self.next_at

    def begin(self) -> AnnounceEvent:
        """Note that an announce is under way and return what it must say."""
        self._in_flight = self.event
        return self._in_flight

    def succeeded(self, reply: AnnounceReply, now: float) -> None:
        event, self._in_flight = self._in_flight, None
        self.failures = 0
        self._retry_at = -math.inf
        self.tracker_id = reply.tracker_id or self.tracker_id
        self._delivered(event)
        if not self._running:
            self._settle_stop(now)
            return
        shortest_s = max(self._min_interval_s, reply.min_interval_s or 0.0)
        self._polite_at = now + shortest_s
        self.next_at = now + max(shortest_s, reply.interval_s)
        if self.owes_event:
            self.next_at = now
        elif self._wanted_during_flight:
            self.next_at = self._polite_at
        self._wanted_during_flight = False

    def _delivered(self, event: AnnounceEvent | None) -> None:
        self.is_known = event is not AnnounceEvent.STOPPED
        if event is AnnounceEvent.STARTED:
            self._started_owed = False
        elif event is AnnounceEvent.COMPLETED:
            self._completed_owed = False
        elif event is AnnounceEvent.STOPPED:
            self._stopped_owed = False
            # It was started again meanwhile: nothing but that `started` is true.
            self._completed_owed = False

    def _settle_stop(self, now: float) -> None:
        """Continue a stop that came while an announce was under way."""
        self._stopped_owed = self._stopped_owed or self.is_known
        self.next_at = now if self._stopped_owed else math.inf

    def failed(self, error: TrackerError, now: float) -> None:
        """Back off; a tracker that said "never" (BEP 31) is not asked again until forgiven."""
        event, self._in_flight = self._in_flight, None
        self.failures += 1
        self._wanted_during_flight = False
        back_off_s = min(FIRST_BACK_OFF_S * 2.0 ** min(self.failures - 1, 30), MAX_BACK_OFF_S)
        back_off_s *= self._rng.uniform(1 - JITTER, 1 + JITTER)
        if isinstance(error, TrackerFailure) and error.retry_in_s is not None:
            back_off_s = max(error.retry_in_s, self._min_interval_s)
        self._retry_at = self.next_at = now + back_off_s
        if self._running:
            return
        if event in (AnnounceEvent.STOPPED, AnnounceEvent.COMPLETED):
            self._stop_attempts += 1
        is_hopeless = self._stop_attempts >= STOPPED_ATTEMPTS or self.next_at == math.inf
        if is_hopeless or not self._stopped_owed:
            self._forget()

    def abandoned(self, now: float) -> None:
        """Must be called when an announce was cancelled: the tracker may have heard it or not."""
        self._in_flight = None
        self._wanted_during_flight = False
        self.is_known = True
        if self._running:
            self.next_at = max(now, self._retry_at)
        else:
            self._settle_stop(now)

    def forgive(self, now: float) -> None:
        """Forget failures and "never", as when the user asks or the network came back."""
        if not self.failures:
            return
        self.failures = 0
        self._retry_at = -math.inf
        if self._running or self._stopped_owed:
            self.next_at = max(now, self.earliest_at)

    def _forget(self) -> None:
        self._stopped_owed = self._completed_owed = self.is_known = False
        self.next_at = math.inf
