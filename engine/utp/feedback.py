"""What packets of the other side say of ours: what arrived, how late, what may follow. HOT.

Acks of what was never sent are no peer's: such a packet is dropped as a whole, and counted.
"""

from __future__ import annotations

from engine.utp.counters import Counters
from engine.utp.ledbat import Ledbat
from engine.utp.outbound import Outbound
from engine.utp.packet import STATE, Packet
from engine.utp.timing import Timing

_DUPLICATE_ACKS = 3
_MAX_WINDOW = 1 << 30


class Feedback:
    """Brings what a packet says to those whom it concerns."""

    __slots__ = (
        "_counters",
        "_duplicate_acks",
        "_ledbat",
        "_outbound",
        "_recover_until",
        "_timing",
        "reply_micro",
        "seen_ack",
        "window",
    )

    def __init__(
        self, outbound: Outbound, ledbat: Ledbat, timing: Timing, counters: Counters
    ) -> None:
        self._outbound = outbound
        self._ledbat = ledbat
        self._timing = timing
        self._counters = counters
        self._duplicate_acks = 0
        self._recover_until = outbound.next - 1
        """Losses up to this packet were answered by one cut of the window."""
        self.window = _MAX_WINDOW
        """Bytes that the other side takes."""
        self.reply_micro = 0
        """How late its last packet was, to be told to it."""
        self.seen_ack = -1
        """The ack that was taken last, as it was on the wire."""

    def stamp(self, packet: Packet, now: float) -> None:
        """Take the time and the window of a packet."""
        self.reply_micro = delay = (int(now * 1e6) - packet.timestamp) & 0xFFFFFFFF
        self.window = min(packet.window, _MAX_WINDOW)
        if packet.timestamp:
            self._ledbat.their_sample(delay, now)

    def take(self, packet: Packet, now: float, *, must_match: bool = False) -> bool:
        """Take what a packet says of ours. False: it is not the peer's. `must_match`: it must
        acknowledge exactly what was sent."""
        outbound, ledbat = self._outbound, self._ledbat
        ack = outbound.unwrap(packet.ack)
        if ack is None or (must_match and ack != outbound.next - 1):
            self._counters.bogus_acks += 1
            return False
        self.seen_ack = packet.ack
        sack = packet.sack
        if sack and (beyond := ack + 1 + sack.bit_length() - (outbound.next - 1)) > 0:
            # What was never sent cannot have arrived; bits outside of the window mean nothing.
            if beyond >= 32:
                self._counters.bogus_acks += 1
            sack &= (1 << max(0, outbound.next - ack - 2)) - 1
        before = outbound.under_way
        is_old = ack < outbound.oldest - 1
        had_window = self.window
        self.stamp(packet, now)
        if packet.delay:
            ledbat.sample(packet.delay, now)
        fresh = 0 if is_old else outbound.acked(ack, now)
        if fresh:
            self._timing.acked(ack, now)
        if sack:
            fresh += outbound.sacked(ack, sack, now)
        if fresh:
            limit = min(ledbat.window, had_window)
            ledbat.acked(
                fresh,
                is_limited=before + 2 * outbound.step >= limit,
                round_trip_s=self._timing.round_trip_s,
                now=now,
            )
            self._progress(now)
        elif not self.window:
            self._timing.timeouts = 0  # it lives, and takes nothing
        elif (
            packet.type == STATE
            and not sack
            and outbound.has_packets
            and ack == outbound.oldest - 1
            and packet.window == had_window
        ):
            self._duplicate_acks += 1
        if outbound.has_packets:
            self._look_for_losses(ack, sack, now)
        return True

    def _progress(self, now: float) -> None:
        self._timing.timeouts = self._duplicate_acks = 0
        if self._outbound.has_packets:
            self._timing.restart(now)
        else:
            self._timing.stop()

    def _look_for_losses(self, ack: int, sack: int, now: float) -> None:
        outbound = self._outbound
        resent_before = now - self._timing.resent_before
        lost = outbound.find_lost(ack, sack, resent_before) if sack else 0
        if self._duplicate_acks >= _DUPLICATE_ACKS:
            self._duplicate_acks = 0
            lost += outbound.lose_oldest(resent_before)
        if not lost:
            return
        self._timing.sent_again()
        self._ledbat.lost(lost)
        if ack >= self._recover_until:
            self._recover_until = outbound.next - 1
            self._ledbat.cut(self._timing.round_trip_s)

    def timed_out(self) -> None:
        """All that is under way was given up."""
        self._recover_until = self._outbound.next - 1
