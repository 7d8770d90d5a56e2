"""The sending half of a uTP connection: what is under way, lost, may leave (BEP 29). HOT.

        append ──► flights: [acked … | under way … | filled, not sent] ──► push ──► datagrams
        acked, sacked ──► packets settle; three beyond a gap mean that the gap is lost

Bytes are copied in once and kept until they have arrived. Sequence numbers do not wrap here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from engine.utp.flight import Flight, FlightPool
from engine.utp.packet import DATA, HEADER_BYTES, nearest
from engine.utp.path_mtu import PathMtu

MAX_PACKETS_UNDER_WAY = 16_000
"""Half of what 16 bits could tell apart, and less."""
_REORDERED = 3
"""So many packets that arrived beyond a gap make it a loss (BEP 29)."""
_FEW_BYTES = 1024 * 1024
"""With less under way the numbers cannot run out."""
_BULK_PACKETS = 4
"""With so many under way a short packet waits for more bytes or for their acks."""

Emit = Callable[[bytes | bytearray, int, bool], None]
"""Takes datagrams, the bytes of each but the last, and whether fragmenting them is forbidden."""


class Outbound:
    """Packets of one connection from their filling to their arrival."""

    __slots__ = (
        "_emit",
        "_flights",
        "_lost_packets",
        "_open",
        "_pool",
        "ack",
        "lost_bytes",
        "mtu",
        "next",
        "packets_lost",
        "prefix",
        "prefix_of",
        "under_way",
    )

    def __init__(self, first: int, mtu: PathMtu, pool: FlightPool, emit: Emit) -> None:
        self.next = first
        """Number of the next packet."""
        self.mtu = mtu
        self.under_way = 0
        """Bytes that were sent and have neither arrived nor been given up."""
        self.lost_bytes = 0
        """To be sent again: the peer has to have room for them, before anything new."""
        self.packets_lost = 0
        """In all; probes of the path's MTU are not counted."""
        self.prefix = b""
        """Beginning of the headers of data that leaves now."""
        self.prefix_of: Callable[[int], bytes]
        """The same for packets of another kind."""
        self.ack = 0
        """What those acknowledge."""
        self._flights: deque[Flight] = deque()
        self._open: Flight | None = None
        """The last of the flights, or one that is filled and has sent nothing."""
        self._pool = pool
        self._emit = emit
        self._lost_packets = 0
        """To be sent again."""

    @property
    def oldest(self) -> int:
        """Number of the oldest packet that has not arrived."""
        if not self._flights:
            return self.next
        head = self._flights[0]
        missing = ~head.acked
        return head.first + (missing & -missing).bit_length() - 1

    @property
    def is_empty(self) -> bool:
        """Nothing is under way and nothing waits."""
        return not self._flights and not self.unsent

    @property
    def has_packets(self) -> bool:
        """Something was sent that has not arrived."""
        return bool(self._flights)

    @property
    def unsent(self) -> int:
        """Bytes that were taken and are in no packet yet."""
        flight = self._open
        return flight.filled - flight.sent_bytes if flight else 0

    @property
    def step(self) -> int:
        """Payload of a full packet."""
        return self.mtu.packet_bytes - HEADER_BYTES

    # ── what leaves ─────────────────────────────────────────────────────────────────────────────

    def append(self, data: memoryview, now: float) -> int:
        """Take bytes to be sent; return how many. The caller minds the window."""
        taken = 0
        while taken < len(data):
            flight = self._open
            if flight is None:
                flight = self._open = self._opened(len(data) - taken, now)
            count = flight.fill(data[taken:])
            taken += count
            if not count:
                self.push(flushing=False)
                if self._open is flight:  # its one packet waits for the window of numbers
                    break
        return taken

    def _opened(self, wanted: int, now: float) -> Flight:
        probe = self.mtu.probe_bytes(now)
        if probe and wanted + HEADER_BYTES >= probe:
            flight = Flight(probe - HEADER_BYTES, 1)
            flight.begin(self.next)
            flight.is_probe = True
            self.mtu.probe_sent()
            return flight
        return self._pool.acquire(self.step, self.next)

    def push(self, *, flushing: bool) -> int:
        """Send all full packets, and with `flushing` a short last one too; return how many."""
        flight = self._open
        if flight is None:
            return 0
        sent = 0
        full = flight.filled // flight.step
        if full > flight.count and (self.under_way < _FEW_BYTES or self._has_numbers):
            sent = full - flight.count
            self._send(flight, sent, flight.step)
        tail = flight.filled - flight.sent_bytes
        if tail and flushing and self._has_numbers:
            if flight.count or flight.is_probe:
                self._send(flight, 1, tail)
            else:
                self._send_alone(flight.payload[:tail])
                flight.filled = 0
            sent += 1
        if flight.last_bytes != flight.step or flight.count == flight.capacity:
            self._open = None
            self._drop_done()
        elif not flight.count and not flight.filled:
            self._open = None
            self._pool.release(flight)
        return sent

    @property
    def _has_numbers(self) -> bool:
        return self.next - self.oldest < MAX_PACKETS_UNDER_WAY

    def _send_alone(self, payload: memoryview) -> None:
        """A short packet needs no room for a row of them while it is under way."""
        small = Flight(len(payload), 1)
        small.begin(self.next)
        small.fill(payload)
        self._send(small, 1, small.step)

    def send_control(self, kind: int) -> None:
        """Send a packet without payload that has a number of its own: SYN or FIN."""
        flight = Flight(0, 1)
        flight.begin(self.next)
        flight.kind = kind
        self._send(flight, 1, 0)

    def _send(self, flight: Flight, count: int, last_bytes: int) -> None:
        if not flight.count:
            flight.first = self.next
            self._flights.append(flight)
        start, end = flight.count, flight.count + count
        flight.count = end
        flight.last_bytes = last_bytes
        size = (count - 1) * flight.step + last_bytes
        flight.sent_bytes += size
        self.under_way += size
        self.next += count
        self._emit_packets(flight, start, end, whole=flight.is_probe)

    def _emit_packets(self, flight: Flight, start: int, end: int, *, whole: bool = False) -> None:
        prefix = self.prefix if flight.kind == DATA else self.prefix_of(flight.kind)
        run = flight.datagrams(start, end, prefix, self.ack)
        self._emit(run, flight.step + HEADER_BYTES, whole)

    def resend(self, window: int, now: float) -> int:
        """Send lost packets again as far as the window allows; return how many."""
        if not self._lost_packets:
            return 0
        sent = 0
        for flight in self._flights:
            while flight.lost:
                if self.under_way and self.under_way + flight.step > window:
                    return sent
                start = (flight.lost & -flight.lost).bit_length() - 1
                self._resend_one(flight, start, now)
                sent += 1
        return sent

    def _resend_one(self, flight: Flight, n: int, now: float) -> None:
        if flight.resent is None:
            flight.resent = {}
        flight.resent[n] = now
        if flight.lost >> n & 1:
            flight.lost &= ~(1 << n)
            self._lost_packets -= 1
            size = flight.bytes_of(1 << n)
            self.under_way += size
            self.lost_bytes -= size
        self._emit_packets(flight, n, n + 1)

    def resend_last(self, now: float) -> None:
        """Send the newest packet again, so that an ack tells which are missing."""
        flight = self._flights[-1]
        if not flight.acked >> (flight.count - 1) & 1:
            self._resend_one(flight, flight.count - 1, now)

    # ── what arrived, what did not ──────────────────────────────────────────────────────────────

    def acked(self, ack: int, now: float) -> int:
        """All up to number `ack` arrived; return the bytes that were not known to have."""
        fresh = 0
        for flight in self._flights:
            reach = ack - flight.first + 1
            if reach <= 0:
                break
            fresh += self._settle(flight, flight.all & (1 << reach) - 1, now)
        if fresh or self._flights:
            self._drop_done()
        return fresh

    def sacked(self, ack: int, sack: int, now: float) -> int:
        """Bit n of `sack`: packet `ack + 2 + n` arrived; return the bytes that are news."""
        fresh = 0
        base = ack + 2
        end = base + sack.bit_length()
        for flight in self._flights:
            if flight.first >= end:
                break
            shift = flight.first - base
            bits = (sack >> shift if shift >= 0 else sack << -shift) & flight.all
            if bits & ~flight.acked:
                fresh += self._settle(flight, bits, now)
        return fresh

    def _settle(self, flight: Flight, mask: int, now: float) -> int:
        mask &= ~flight.acked
        if not mask:
            return 0
        fresh = flight.bytes_of(mask)
        if lost := mask & flight.lost:
            gone = flight.bytes_of(lost)
            self.lost_bytes -= gone
            self.under_way -= fresh - gone
            self._lost_packets -= lost.bit_count()
            flight.lost &= ~lost
        else:
            self.under_way -= fresh
        flight.acked |= mask
        if flight.is_probe and flight.resent is None:
            self.mtu.probe_arrived(flight.step + HEADER_BYTES, now)
        return fresh or 1

    def _drop_done(self) -> None:
        flights = self._flights
        while flights and flights[0].is_done:
            flight = flights[0]
            if flight is self._open:
                if flight.filled != flight.sent_bytes:
                    return
                self._open = None
            flights.popleft()
            self._pool.release(flight)

    def find_lost(self, ack: int, sack: int, resent_before: float) -> int:
        """Mark what at least three packets overtook, but nothing that was sent again after
        `resent_before`; return how many packets are newly lost."""
        top = sack
        for _ in range(_REORDERED - 1):
            if top:
                top ^= 1 << (top.bit_length() - 1)
        if not top:
            return 0
        return self._mark_lost(ack + 2 + top.bit_length() - 1, resent_before)

    def lose_oldest(self, resent_before: float) -> int:
        """The other side says again and again that it waits for the oldest packet."""
        return self._mark_lost(self.oldest + 1, resent_before)

    def lose_all(self) -> None:
        """Nothing came back in time: all that is under way has to be sent again."""
        for flight in self._flights:
            self._lose(flight, flight.all & ~flight.acked & ~flight.lost)

    def _mark_lost(self, end: int, resent_before: float) -> int:
        lost = 0
        for flight in self._flights:
            reach = end - flight.first
            if reach <= 0:
                break
            gone = flight.all & (1 << reach) - 1 & ~flight.acked & ~flight.lost
            if gone and flight.resent:
                for n, at in flight.resent.items():
                    if at > resent_before:
                        gone &= ~(1 << n)
            if gone:
                lost += self._lose(flight, gone)
        self.packets_lost += lost
        return lost

    def _lose(self, flight: Flight, mask: int) -> int:
        flight.lost |= mask
        count = mask.bit_count()
        self._lost_packets += count
        size = flight.bytes_of(mask)
        self.under_way -= size
        self.lost_bytes += size
        if mask and flight.is_probe and flight.resent is None:
            self.mtu.probe_lost()
            return 0
        return count

    def close(self) -> None:
        """Give back all memory; nothing will be sent any more."""
        for flight in self._flights:
            self._pool.release(flight)
        if self._open is not None and not self._open.count:
            self._pool.release(self._open)
        self._flights.clear()
        self._open = None
        self.under_way = self.lost_bytes = self._lost_packets = 0

    def unwrap(self, wire: int) -> int | None:
        """Return the number that an ack stands for; None: no packet of that number was sent, or so
        long ago that nobody can speak of it."""
        ack = nearest(wire, self.next - 1)
        if ack >= self.next or ack < self.oldest - MAX_PACKETS_UNDER_WAY:
            return None
        return ack

    @property
    def is_bulk(self) -> bool:
        """Enough is under way for acks to come soon: a short packet may wait for them."""
        return self.under_way >= _BULK_PACKETS * self.step
