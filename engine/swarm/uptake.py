"""What peers make of being unchoked: who takes blocks, and who lets its turn go by (BEP 3).

A peer that asks and then closes its window, or is unchoked and asks nothing, keeps others waiting
for as long as it likes. It costs nobody a slot again before a while is over, from whatever port.
"""

from __future__ import annotations

from collections.abc import Hashable

from engine.core.geometry import BLOCK_LENGTH

PATIENCE_S = 9.0
"""A turn in which so long nothing moved is over; a little less than a round of the choker."""
_FIRST_PENALTY_S = 300.0
_MOST_DOUBLINGS = 4
_REMEMBERED_S = 2 * 3600.0
_MAX_HOSTS = 2000


class Uptake:
    """What one peer takes. Times are those of `look`, which must be called about once a second."""

    __slots__ = ("_moved_at", "_sent", "_served", "_used_at", "stalled_s")

    def __init__(self, now: float) -> None:
        self._sent = self._served = 0
        self._moved_at = now
        self._used_at = now
        self.stalled_s = 0.0
        """How long its connection has held bytes and not taken so much as a block of them."""

    def look(
        self, now: float, *, sent: int, is_pending: bool, served: int, has_asked: bool
    ) -> None:
        """`sent`: bytes that its connection took so far; `is_pending`: others wait there.
        `served`: bytes of blocks that we gave to the connection; `has_asked`: for more of them."""
        if not is_pending or sent - self._sent >= BLOCK_LENGTH:
            self._sent = sent
            self._moved_at = now
        self.stalled_s = now - self._moved_at
        if has_asked or is_pending or served != self._served:
            self._served = served
            self._used_at = now

    def is_wasted(self, now: float, unchoked_at: float | None) -> bool:
        """True if it was unchoked long enough, and nothing came of it of late."""
        if unchoked_at is None or now - unchoked_at < PATIENCE_S:
            return False
        return self.stalled_s >= PATIENCE_S or now - max(self._used_at, unchoked_at) >= PATIENCE_S


class WastedTurns:
    """Hosts that let turns go by: each time they come last for twice as long."""

    __slots__ = ("_hosts",)

    def __init__(self) -> None:
        self._hosts: dict[Hashable, tuple[int, float]] = {}
        """Turns wasted, and until when it comes last; the latest waster is the last."""

    def __len__(self) -> int:
        return len(self._hosts)

    def add(self, host: Hashable, now: float) -> None:
        """A turn was wasted. While the host pays for another one it does not count."""
        if self.comes_last(host, now):
            return
        turns, until = self._hosts.pop(host, (0, now))
        if now - until > _REMEMBERED_S:
            turns = 0
        penalty_s = _FIRST_PENALTY_S * (1 << min(turns, _MOST_DOUBLINGS))
        self._hosts[host] = turns + 1, now + penalty_s
        if len(self._hosts) > _MAX_HOSTS:
            del self._hosts[next(iter(self._hosts))]

    def comes_last(self, host: Hashable, now: float) -> bool:
        """True while it is unchoked only where nobody else waits."""
        known = self._hosts.get(host)
        return known is not None and now < known[1]
