"""Ranges of addresses that nobody is to be spoken with: millions of them in little memory.

Invariant: ranges are sorted and neither overlap nor touch. One of IPv4 takes 8 bytes, one of IPv6
32, and a look-up is a bisection. IPv4 mapped into IPv6 is IPv4.
"""

from __future__ import annotations

import ipaddress
import itertools
import socket
import struct
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from engine.errors import InputError

MAX_RANGES = 10_000_000
_IPV4_MOST = (1 << 32) - 1
_IPV6_MOST = (1 << 128) - 1
_IPV6_BYTES = 16
_MAPPED = 0xFFFF << 32
_BUCKETS = 256
_WORD = "I"
_MAGIC = b"seedwright ranges 1" + array(_WORD, [0x01020304]).tobytes()
"""Says in which order this machine keeps the bytes of a word."""
_HEAD = struct.Struct(">QQI")


class IpFilter:
    """A set of ranges that does not change."""

    __slots__ = ("_ipv4_firsts", "_ipv4_lasts", "_ipv6_firsts", "_ipv6_lasts")

    def __init__(
        self,
        ipv4_firsts: array[int] | None = None,
        ipv4_lasts: array[int] | None = None,
        ipv6_firsts: bytes = b"",
        ipv6_lasts: bytes = b"",
    ) -> None:
        """Sorted and merged, as RangeBuilder makes them."""
        self._ipv4_firsts = array(_WORD) if ipv4_firsts is None else ipv4_firsts
        self._ipv4_lasts = array(_WORD) if ipv4_lasts is None else ipv4_lasts
        self._ipv6_firsts = ipv6_firsts
        self._ipv6_lasts = ipv6_lasts

    @classmethod
    def of(cls, networks: Iterable[str]) -> IpFilter:
        """Make one of addresses and networks as `10.0.0.0/8`. Raises InputError."""
        builder = RangeBuilder()
        for text in networks:
            network = parse_network(text)
            builder.add(int(network[0]), int(network[-1]), is_ipv6=network.version == 6)
        return builder.build()

    def __len__(self) -> int:
        return self.ipv4_ranges + self.ipv6_ranges

    @property
    def ipv4_ranges(self) -> int:
        return len(self._ipv4_firsts)

    @property
    def ipv6_ranges(self) -> int:
        return len(self._ipv6_firsts) // _IPV6_BYTES

    @property
    def memory_bytes(self) -> int:
        return 2 * (len(self._ipv4_firsts) * self._ipv4_firsts.itemsize + len(self._ipv6_firsts))

    def __contains__(self, host: str) -> bool:
        """Say whether a numeric address is in one of the ranges."""
        if ":" in host:
            packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
            value = int.from_bytes(packed, "big")
            if value >> 32 != 0xFFFF:
                return self._has_ipv6(packed)
            value &= _IPV4_MOST
        else:
            value = int.from_bytes(socket.inet_pton(socket.AF_INET, host), "big")
        at = bisect_right(self._ipv4_firsts, value) - 1
        return at >= 0 and value <= self._ipv4_lasts[at]

    def _has_ipv6(self, packed: bytes) -> bool:
        firsts, size = self._ipv6_firsts, _IPV6_BYTES
        at = (
            bisect_right(
                range(self.ipv6_ranges), packed, key=lambda n: firsts[n * size : (n + 1) * size]
            )
            - 1
        )
        return at >= 0 and packed <= self._ipv6_lasts[at * size : (at + 1) * size]

    def to_bytes(self) -> bytes:
        """Everything, to be kept and read back on this machine."""
        body = b"".join(
            (
                self._ipv4_firsts.tobytes(),
                self._ipv4_lasts.tobytes(),
                self._ipv6_firsts,
                self._ipv6_lasts,
            )
        )
        return _MAGIC + _HEAD.pack(self.ipv4_ranges, self.ipv6_ranges, zlib.crc32(body)) + body

    @classmethod
    def from_bytes(cls, data: bytes) -> IpFilter:
        """Read back what `to_bytes` gave. Raises InputError if it is torn or not ours."""
        start = len(_MAGIC) + _HEAD.size
        if not data.startswith(_MAGIC) or len(data) < start:
            raise InputError("not a kept list of ranges")
        ipv4, ipv6, checksum = _HEAD.unpack_from(data, len(_MAGIC))
        body = memoryview(data)[start:]
        word = array(_WORD).itemsize
        if len(body) != 2 * (ipv4 * word + ipv6 * _IPV6_BYTES) or zlib.crc32(body) != checksum:
            raise InputError("a kept list of ranges is damaged")
        ends = [0, ipv4 * word, 2 * ipv4 * word, 2 * ipv4 * word + ipv6 * _IPV6_BYTES, len(body)]
        parts = [body[one:other] for one, other in itertools.pairwise(ends)]
        firsts, lasts = array(_WORD), array(_WORD)
        firsts.frombytes(parts[0])
        lasts.frombytes(parts[1])
        return cls(firsts, lasts, bytes(parts[2]), bytes(parts[3]))


class RangeBuilder:
    """Collects ranges in any order, 8 bytes for one of IPv4, and makes a filter of them."""

    __slots__ = ("_ipv4", "_ipv6", "count")

    def __init__(self) -> None:
        # By the first byte: no single sort is so long that other threads wait for it.
        self._ipv4 = [array("Q") for _ in range(_BUCKETS)]
        self._ipv6: list[tuple[int, int]] = []
        self.count = 0
        """Ranges that were added."""

    def add(self, first: int, last: int, *, is_ipv6: bool = False) -> None:
        """Add the addresses `first` to `last`, as numbers. Raises InputError: too many ranges."""
        if self.count >= MAX_RANGES:
            raise InputError(f"more than {MAX_RANGES:,} ranges")
        self.count += 1
        if not is_ipv6:
            self._ipv4[first >> 24].append(first << 32 | last)
        elif first >> 32 == last >> 32 == 0xFFFF:
            self.count -= 1
            self.add(first & _IPV4_MOST, last & _IPV4_MOST)
        else:
            self._ipv6.append((first, last))

    def add_packed(self, first: bytes, last: bytes) -> None:
        """Add a range of IPv4 in network order. HOT. Raises InputError: too many ranges."""
        if self.count >= MAX_RANGES:
            raise InputError(f"more than {MAX_RANGES:,} ranges")
        self.count += 1
        self._ipv4[first[0]].append(int.from_bytes(first + last, "big"))

    def build(self) -> IpFilter:
        """Sort and merge. The builder must not be used any more."""
        firsts, lasts = array(_WORD), array(_WORD)
        for first, last in _merged(self._sorted_ipv4()):
            firsts.append(first)
            lasts.append(last)
        merged = list(_merged(iter(sorted(self._ipv6))))
        return IpFilter(
            firsts,
            lasts,
            b"".join(first.to_bytes(_IPV6_BYTES, "big") for first, _ in merged),
            b"".join(last.to_bytes(_IPV6_BYTES, "big") for _, last in merged),
        )

    def _sorted_ipv4(self) -> Iterator[tuple[int, int]]:
        for number, bucket in enumerate(self._ipv4):
            self._ipv4[number] = array("Q")
            for packed in sorted(bucket):
                yield packed >> 32, packed & _IPV4_MOST


def _merged(ranges: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Join what overlaps or touches; by `first` the ranges are in order."""
    current = next(ranges, None)
    if current is None:
        return
    first, last = current
    for following, its_last in ranges:
        if following <= last + 1:
            last = max(last, its_last)
        else:
            yield first, last
            first, last = following, its_last
    yield first, last


def parse_network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Read an address, or a network as `10.0.0.0/8`; bits behind the prefix are ignored. Raises
    InputError."""
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError as error:
        raise InputError(f"{text!r} is no address and no network such as 10.0.0.0/8") from error
