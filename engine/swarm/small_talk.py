"""How many messages that move nothing a peer may send: honest ones come in bursts, and end.

Each costs the loop as much as a block does, and a peer can send a million of them in a second.
"""

from __future__ import annotations

AT_ONCE = 10_000
"""Honest peers send as many only when they cancel or reject a whole queue."""
PER_S = 500


class SmallTalk:
    """What one peer may still say. `more` is what it may say at once beyond AT_ONCE."""

    __slots__ = ("_at", "_left", "_most")

    def __init__(self, now: float, *, more: int = 0) -> None:
        self._most = AT_ONCE + more
        self._left: float = self._most
        self._at = now

    def allows(self, count: int, now: float) -> bool:
        """Count messages; False: they are more than anybody has the right to."""
        self._left = min(self._most, self._left + (now - self._at) * PER_S) - count
        self._at = now
        return self._left >= 0
