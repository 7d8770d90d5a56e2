"""Sets of addresses in 256 bytes, whose size can be estimated (BEP 33)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

FILTER_BYTES = 256
_BITS = FILTER_BYTES * 8
_HASHES = 2


class BloomFilter:
    """A set of packed IP addresses, without ports; unions of such sets are exact."""

    __slots__ = ("_bits",)

    def __init__(self, data: bytes = bytes(FILTER_BYTES)) -> None:
        """`data` is a filter as it came over the wire: exactly 256 bytes."""
        if len(data) != FILTER_BYTES:
            raise ValueError(f"a filter has {FILTER_BYTES} bytes, not {len(data)}")
        self._bits = int.from_bytes(data, "little")

    @classmethod
    def of(cls, hosts: Iterable[bytes]) -> BloomFilter:
        found = cls()
        for host in hosts:
            found.add(host)
        return found

    def add(self, host: bytes) -> None:
        self._bits |= _mask(host)

    def __contains__(self, host: bytes) -> bool:
        mask = _mask(host)
        return self._bits & mask == mask

    def unite(self, other: BloomFilter) -> None:
        self._bits |= other._bits

    def __bytes__(self) -> bytes:
        return self._bits.to_bytes(FILTER_BYTES, "little")

    def estimate(self) -> float:
        """How many addresses were added, more or less; breaks down near 6000 of them."""
        zeros = min(_BITS - 1, _BITS - self._bits.bit_count())
        # A full filter says "more than can be counted"; its estimate is that of one zero bit.
        return math.log(max(zeros, 1) / _BITS) / (_HASHES * math.log(1 - 1 / _BITS))


def _mask(host: bytes) -> int:
    digest = hashlib.sha1(host, usedforsecurity=False).digest()
    first, second = (int.from_bytes(digest[at : at + 2], "little") % _BITS for at in (0, 2))
    return 1 << first | 1 << second
