"""What a tracker counts of its own work: totals, and announces per minute of the last hour.

Pure: `now` is seconds of one monotonic clock. Counting costs a few attribute writes.
"""

from __future__ import annotations

from collections import deque

HISTORY_MINUTES = 60


class Statistics:
    """Counters since the start; a plain attribute may be increased by whoever does the work."""

    __slots__ = (
        "_current",
        "_minute",
        "_minutes",
        "connects",
        "failed_connections",
        "http_announces",
        "http_scrapes",
        "ignored",
        "refused",
        "started_at",
        "udp_announces",
        "udp_scrapes",
    )

    def __init__(self, now: float) -> None:
        self.started_at = now
        self.http_announces = 0
        self.udp_announces = 0
        self.http_scrapes = 0
        self.udp_scrapes = 0
        self.connects = 0
        """UDP connection ids given out."""
        self.refused = 0
        """Announces and scrapes answered with a failure."""
        self.ignored = 0
        """Datagrams that were nothing of the protocol."""
        self.failed_connections = 0
        """HTTP connections closed at once because too many were open."""
        self._minutes: deque[int] = deque([0] * HISTORY_MINUTES, maxlen=HISTORY_MINUTES)
        self._current = 0
        self._minute = 0

    def count_announce(self, now: float, *, is_udp: bool) -> None:
        """Count one announce that was answered with peers."""
        if is_udp:
            self.udp_announces += 1
        else:
            self.http_announces += 1
        self._roll(now)
        self._current += 1

    def per_minute(self, now: float) -> list[int]:
        """Announces in each of the last 60 minutes, oldest first; the last is the running one."""
        self._roll(now)
        return [*list(self._minutes)[1:], self._current]

    def _roll(self, now: float) -> None:
        minute = int((now - self.started_at) // 60)
        if minute == self._minute:
            return
        self._minutes.append(self._current)
        for _ in range(min(minute - self._minute - 1, HISTORY_MINUTES)):
            self._minutes.append(0)
        self._minute = minute
        self._current = 0
