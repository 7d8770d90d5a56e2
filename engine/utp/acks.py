"""When a uTP connection acknowledges what came: one ack for the packets of a while (BEP 29). HOT.

BEP 29 leaves it to the receiver. A sender that hears of each second packet sends two at a time, and
both ends do most of their work for acks. Here one ack answers as many packets as come within the
delay that a single one is granted anyhow, but eight at most. Somebody who begins, or was slow just
now, has a small window that each ack opens: it hears of each second packet.
"""

from __future__ import annotations

from engine.utp.timing import ACK_DELAY_S

_LEAST_PACKETS = 2
_MOST_PACKETS = 8
_LONGEST_GAP_S = 0.1


class Acks:
    """Counts packets that wait for an ack, and knows how fast they come."""

    __slots__ = ("_answered_at", "_due", "_enough", "_gap_s", "_is_urgent")

    def __init__(self, now: float) -> None:
        self._due = 0
        self._is_urgent = False
        self._enough = _LEAST_PACKETS
        self._gap_s = _LONGEST_GAP_S
        """From one packet to the next: longer at once, shorter by and by."""
        self._answered_at = now

    def came(self, packets: int, *, is_urgent: bool) -> None:
        """So many came; `is_urgent`: somebody waits to hear of them."""
        self._due += packets
        self._is_urgent |= is_urgent

    @property
    def are_due(self) -> bool:
        return self._is_urgent or self._due >= self._enough

    def answered(self, now: float) -> None:
        """All that came is acknowledged by what leaves now."""
        if self._due:
            gap_s = min(_LONGEST_GAP_S, (now - self._answered_at) / self._due)
            self._gap_s = max(gap_s, self._gap_s + (gap_s - self._gap_s) / 8)
            within = int(ACK_DELAY_S / max(self._gap_s, 1e-4))
            self._enough = min(_MOST_PACKETS, max(_LEAST_PACKETS, within))
        self._answered_at = now
        self._due = 0
        self._is_urgent = False
