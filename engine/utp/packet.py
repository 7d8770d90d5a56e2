"""uTP packets: header, extensions, selective acks; single or in runs of equal size (BEP 29). HOT.

Sequence numbers are 16 bits on the wire and count packets. Inside the room they are plain integers
that never wrap: `nearest` brings what the wire says back to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

HEADER_BYTES = 20
MAX_DATAGRAM_BYTES = 65_507
MAX_RUN_PACKETS = 64
"""What a kernel takes and hands over at once (UDP_SEGMENT, UDP_GRO)."""
MAX_SACK_BYTES = 252
"""The most that fits the length of an extension, in multiples of 4."""

DATA, FIN, STATE, RESET, SYN = range(5)
_VERSION = 1
_SELECTIVE_ACK = 1
_MAX_EXTENSIONS = 8

_HEADER = Struct(">BBHIIIHH")
_PREFIX = Struct(">BBHIII")
_NUMBERS = Struct(">HH")
_SEQ_AT = 16
_NO_DATA = memoryview(b"")


def _all_numbers() -> bytes:
    numbers = bytearray(2 * 0x10000)
    numbers[0::2] = b"".join(bytes((high,)) * 0x100 for high in range(0x100))
    numbers[1::2] = bytes(range(0x100)) * 0x100
    return bytes(numbers + numbers[: 2 * MAX_RUN_PACKETS])


_SEQUENCE = _all_numbers()
"""All numbers of packets behind each other as they are on the wire, and the first ones again."""


class Packet(NamedTuple):
    """A packet as it was read. Times are in microseconds, modulo 2³²."""

    type: int
    connection_id: int
    timestamp: int
    delay: int
    """timestamp_difference_microseconds; 0 = the sender has no sample."""
    window: int
    seq: int
    ack: int
    sack: int
    """Bit n: packet `ack + 2 + n` has arrived. 0 = all in order."""
    payload: memoryview


def parse(data: memoryview) -> Packet | None:
    """Read one packet; None: it is none of version 1, or its extensions are torn."""
    if len(data) < HEADER_BYTES:
        return None
    kind, extension, connection_id, stamp, delay, window, seq, ack = _HEADER.unpack_from(data)
    if kind & 15 != _VERSION or kind >> 4 > SYN:
        return None
    at, sack = HEADER_BYTES, 0
    for _ in range(_MAX_EXTENSIONS):
        if not extension:
            payload = data[at:] if at < len(data) else _NO_DATA
            return Packet(kind >> 4, connection_id, stamp, delay, window, seq, ack, sack, payload)
        if at + 2 > len(data):
            return None
        ours, (extension, length) = extension, data[at : at + 2]
        at += 2 + length
        if at > len(data):
            return None
        if ours == _SELECTIVE_ACK:  # of whole words by BEP 29, of any length by libtorrent
            sack = int.from_bytes(data[at - length : at], "little")
    return None


def pack(
    kind: int, connection_id: int, *, timestamp: int, delay: int, window: int, seq: int, ack: int,
    sack: int = 0, payload: bytes = b"",
) -> bytes:  # fmt: skip
    """Make one packet; numbers are cut to the bits that the wire has."""
    header = _HEADER.pack(
        kind << 4 | _VERSION,
        _SELECTIVE_ACK if sack else 0,
        connection_id & 0xFFFF,
        timestamp & 0xFFFFFFFF,
        delay & 0xFFFFFFFF,
        window & 0xFFFFFFFF,
        seq & 0xFFFF,
        ack & 0xFFFF,
    )
    return header + (pack_sack(sack) if sack else b"") + payload


def reset_for(packet: Packet, timestamp: int) -> bytes:
    """Answer a packet of a connection that is not known here."""
    return pack(
        RESET,
        packet.connection_id,
        timestamp=timestamp,
        delay=0,
        window=0,
        seq=0,
        ack=packet.seq,
    )


def pack_sack(sack: int) -> bytes:
    """Return the extension that says what arrived behind a gap; what does not fit is left out."""
    length = min(MAX_SACK_BYTES, (sack.bit_length() + 31) // 32 * 4)
    mask = sack & (1 << length * 8) - 1
    return bytes((0, length)) + mask.to_bytes(length, "little")


def prefix(kind: int, connection_id: int, timestamp: int, delay: int, window: int) -> bytes:
    """Return what is the same in the headers of all packets that leave at once."""
    return _PREFIX.pack(
        kind << 4 | _VERSION,
        0,
        connection_id,
        timestamp & 0xFFFFFFFF,
        delay & 0xFFFFFFFF,
        window,
    )


def pack_run(
    start: bytes, seq: int, ack: int, payloads: Sequence[bytes | memoryview], packet_bytes: int
) -> bytearray:
    """Return packets from number `seq` on, each of `packet_bytes` but the last; `start` is their
    `prefix`. An empty payload must come before those that are meant: the header is what joins them,
    and only the numbers have to be set one by one."""
    count = len(payloads) - 1
    seq &= 0xFFFF
    run = bytearray(start + _NUMBERS.pack(seq, ack & 0xFFFF)).join(payloads)
    if count > 1:
        end = 2 * (seq + count)
        run[_SEQ_AT::packet_bytes] = _SEQUENCE[2 * seq : end : 2]
        run[_SEQ_AT + 1 :: packet_bytes] = _SEQUENCE[2 * seq + 1 : end : 2]
    return run


@lru_cache(maxsize=256)
def _beginnings(count: int, packet_bytes: int) -> Struct:
    return Struct(">" + f"I12xH{packet_bytes - 18}x" * count)


def is_data_in_order(run: memoryview, packet_bytes: int, count: int, seq: int) -> bool:
    """True if a run of equal packets is plain data of one connection, numbered from `seq` on."""
    if run[0] != _VERSION or run[1]:
        return False
    seq &= 0xFFFF
    if count == 1:
        return run[_SEQ_AT] << 8 | run[_SEQ_AT + 1] == seq
    if not packet_bytes % 4:
        beginnings = run.cast("I")[:: packet_bytes // 4].tobytes()
        numbers = run.cast("H")[_SEQ_AT // 2 :: packet_bytes // 2].tobytes()
        return (
            beginnings == bytes(run[:4]) * count
            and numbers == _SEQUENCE[2 * seq : 2 * (seq + count)]
        )
    if seq + count > 0x10000:
        return False
    fields = _beginnings(count, packet_bytes).unpack_from(run)
    return fields[0::2].count(fields[0]) == count and fields[1::2] == tuple(range(seq, seq + count))


class Payloads:
    """Views of the payloads in a receive buffer, kept: it is read into again and again."""

    __slots__ = ("_buffer", "_views")

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = buffer
        self._views: dict[int, list[memoryview]] = {}
        """By the bytes of a packet."""

    def of(self, run: memoryview, packet_bytes: int, count: int) -> Sequence[memoryview]:
        """Return the payloads of the first `count` packets of a run that begins where the buffer
        does, or lies anywhere else."""
        if run.obj is not self._buffer.obj:
            return [
                run[at + HEADER_BYTES : at + packet_bytes]
                for at in range(0, count * packet_bytes, packet_bytes)
            ]
        views = self._views.get(packet_bytes)
        if views is None:
            if len(self._views) >= 8:
                self._views.clear()
            buffer, end = self._buffer, min(len(self._buffer), MAX_RUN_PACKETS * packet_bytes)
            views = self._views[packet_bytes] = [
                buffer[at + HEADER_BYTES : at + packet_bytes]
                for at in range(0, end - packet_bytes + 1, packet_bytes)
            ]
        return views if len(views) == count else views[:count]


def nearest(wire: int, reference: int) -> int:
    """Return the number that the wire's 16 bits stand for: the one nearest to `reference`."""
    return reference + ((wire - reference + 0x8000) & 0xFFFF) - 0x8000
