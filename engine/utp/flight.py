"""Packets of a uTP connection in a row: filled, sent, kept until they arrived (BEP 29). HOT.

Payloads of a row touch each other, so that it is filled by one copy. What of it leaves is joined by
headers, through views that were made once, since slicing costs more than copying.

        payload  [p0    ][p1    ][p2    ]…         datagrams = h0 p0 h1 p1 h2 p2 …
"""

from __future__ import annotations

from engine.utp.packet import DATA, HEADER_BYTES, MAX_DATAGRAM_BYTES, MAX_RUN_PACKETS, pack_run


class Flight:
    """Up to `capacity` packets of one size, the last one shorter; bit n of a mask is packet n."""

    __slots__ = (
        "acked",
        "capacity",
        "count",
        "filled",
        "first",
        "is_pooled",
        "is_probe",
        "kind",
        "last_bytes",
        "lost",
        "payload",
        "resent",
        "sent_bytes",
        "step",
        "views",
    )

    def __init__(self, step: int, capacity: int, *, is_pooled: bool = False) -> None:
        """`step`: payload of a packet in bytes."""
        self.step = step
        self.capacity = capacity
        self.is_pooled = is_pooled
        self.payload = payload = memoryview(bytearray(step * capacity))
        self.views: list[bytes | memoryview] = [
            b"",
            *(payload[n * step : (n + 1) * step] for n in range(capacity)),
        ]
        """Packet n is at n + 1."""
        self.begin(0)

    def begin(self, first: int) -> None:
        """Be empty, for packets from number `first` on."""
        self.first = first
        self.kind = DATA
        self.count = 0
        """Packets that were sent."""
        self.filled = 0
        """Bytes, sent or not."""
        self.sent_bytes = 0
        self.last_bytes = self.step
        """Of the last packet sent."""
        self.acked = 0
        self.lost = 0
        """Mask of those to be sent again."""
        self.resent: dict[int, float] | None = None
        """Packet → when it was last sent again."""
        self.is_probe = False

    @property
    def all(self) -> int:
        """Mask of the packets that were sent."""
        return (1 << self.count) - 1

    @property
    def is_done(self) -> bool:
        return self.acked == (1 << self.count) - 1

    def fill(self, data: memoryview) -> int:
        """Copy in what fits; return how much."""
        at = self.filled
        count = min(len(data), len(self.payload) - at)
        self.payload[at : at + count] = data[:count]
        self.filled += count
        return count

    def bytes_of(self, mask: int) -> int:
        """Payload of the packets in a mask."""
        size = mask.bit_count() * self.step
        if self.last_bytes != self.step and mask >> (self.count - 1) & 1:
            size -= self.step - self.last_bytes
        return size

    def datagrams(self, start: int, end: int, prefix: bytes, ack: int) -> bytearray:
        """Return the packets from `start` up to `end`, with headers that begin with `prefix` and
        acknowledge `ack`."""
        payloads = self.views
        if end == self.count and self.last_bytes != self.step:
            at = (end - 1) * self.step
            payloads = [b"", *payloads[start + 1 : end], self.payload[at : at + self.last_bytes]]
        elif start or end != self.capacity:
            payloads = [b"", *payloads[start + 1 : end + 1]]
        return pack_run(prefix, self.first + start, ack, payloads, self.step + HEADER_BYTES)


class FlightPool:
    """Flights to be used again, shared by all connections: a slow one holds one or two."""

    __slots__ = ("_free", "_most_free")

    def __init__(self, most_free: int = 64) -> None:
        self._free: dict[int, list[Flight]] = {}
        self._most_free = most_free

    def acquire(self, step: int, first: int) -> Flight:
        free = self._free.get(step)
        if free:
            flight = free.pop()
            flight.begin(first)
            return flight
        flight = Flight(step, run_packets(step), is_pooled=True)
        flight.first = first
        return flight

    def release(self, flight: Flight) -> None:
        if flight.is_pooled:
            free = self._free.setdefault(flight.step, [])
            if len(free) < self._most_free:
                free.append(flight)


def run_packets(step: int) -> int:
    """Packets of this payload that leave at once at most."""
    return min(MAX_RUN_PACKETS, MAX_DATAGRAM_BYTES // (step + HEADER_BYTES))
