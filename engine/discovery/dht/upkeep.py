"""When a node does what nobody asked for: pings, refreshes, expiry, and tries to join (BEP 5)."""

from __future__ import annotations

INTERVAL_S = 5.0
SPARSE_INTERVAL_S = 0.5
"""Between pings while the table has fewer good nodes than a few buckets hold."""
REFRESH_S = 6.0
"""Between refreshes of two buckets; each of them is due only when it stood still for long."""
EXPIRE_S = 60.0
FIRST_RETRY_S = 5.0
MAX_RETRY_S = 300.0
FIRST_SELF_LOOKUP_S = 30.0
MAX_SELF_LOOKUP_S = 600.0
"""Neighbours come and go: they are looked for again and again, in a new network more often."""


class Upkeep:
    """Times only; what is due is done by the node."""

    __slots__ = ("_expire_at", "_refresh_at", "_retry_at", "_retry_s", "is_joined", "next_at")

    def __init__(self, now: float) -> None:
        self.next_at = self._retry_at = now
        self._retry_s = FIRST_RETRY_S
        self._refresh_at = now + REFRESH_S
        self._expire_at = now + EXPIRE_S
        self.is_joined = False

    def done(self, now: float, *, is_urgent: bool) -> None:
        """Must be called at the end of a round; `is_urgent`: there is more to ask soon."""
        self.next_at = now + (SPARSE_INTERVAL_S if is_urgent else INTERVAL_S)

    def hurry(self, now: float) -> None:
        self.next_at = min(self.next_at, now + SPARSE_INTERVAL_S)

    def is_expiry_due(self, now: float) -> bool:
        """Due once, then not before the next interval is over, like `is_refresh_due`."""
        is_due = now >= self._expire_at
        if is_due:
            self._expire_at = now + EXPIRE_S
        return is_due

    def is_refresh_due(self, now: float) -> bool:
        is_due = now >= self._refresh_at
        if is_due:
            self._refresh_at = now + REFRESH_S
        return is_due

    def is_join_due(self, now: float) -> bool:
        return now >= self._retry_at

    def joining(self, now: float, *, is_fresh_start: bool = False) -> None:
        """Note a try to find our neighbours; the next one waits, longer each time."""
        if is_fresh_start:
            self._retry_s = FIRST_RETRY_S
        self._retry_at = now + self._retry_s
        self._retry_s = min(self._retry_s * 2, MAX_SELF_LOOKUP_S if self.is_joined else MAX_RETRY_S)

    def joined(self, now: float) -> bool:
        """Note that neighbours answered. Returns whether that is news."""
        if self.is_joined:
            return False
        self.is_joined = True
        self._retry_s = FIRST_SELF_LOOKUP_S
        self.joining(now)
        return True

    def nobody_answered(self, now: float) -> None:
        """Note that no neighbour answered: we are out, and try again soon."""
        if self.is_joined:
            self.is_joined = False
            self.joining(now, is_fresh_start=True)
