"""A set of piece indexes, in the bit order of BEP 3: piece 0 is the high bit of byte 0.

Invariant: the spare bits behind the last piece are zero, and `count` is the number of set bits.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.errors import ProtocolError

_BITS_OF_BYTE = tuple(tuple(bit for bit in range(8) if byte & (0x80 >> bit)) for byte in range(256))


class Bitfield:
    """`size` pieces, of which `count` are set. Indexing does not check bounds beyond the bytes."""

    __slots__ = ("_bytes", "count", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0
        self._bytes = bytearray((size + 7) // 8)

    @classmethod
    def full(cls, size: int) -> Bitfield:
        field = cls(size)
        field._bytes[:] = b"\xff" * len(field._bytes)
        if size % 8:
            field._bytes[-1] = 0xFF00 >> (size % 8) & 0xFF
        field.count = size
        return field

    @classmethod
    def from_bytes(cls, data: bytes | memoryview, size: int) -> Bitfield:
        """Read a BEP 3 bitfield. Raises ProtocolError on a wrong length or a set spare bit."""
        if len(data) != (size + 7) // 8:
            raise ProtocolError(f"bitfield of {len(data)} bytes for {size} pieces")
        if size % 8 and data[-1] & (0xFF >> (size % 8)):
            raise ProtocolError("bitfield with spare bits set")
        field = cls(size)
        field._bytes[:] = data
        field.count = int.from_bytes(data, "big").bit_count()
        return field

    def to_bytes(self) -> bytes:
        return bytes(self._bytes)

    def copy(self) -> Bitfield:
        twin = Bitfield(self.size)
        twin._bytes[:] = self._bytes
        twin.count = self.count
        return twin

    def update(self, other: Bitfield) -> bool:
        """Add all of `other`, of the same size; True if one was not set before."""
        bits = int.from_bytes(self._bytes, "big") | int.from_bytes(other._bytes, "big")
        before, self.count = self.count, bits.bit_count()
        self._bytes[:] = bits.to_bytes(len(self._bytes), "big")
        return self.count > before

    def __getitem__(self, index: int) -> bool:
        return bool(self._bytes[index >> 3] & (0x80 >> (index & 7)))

    __contains__ = __getitem__

    def add(self, index: int) -> bool:
        """Set a bit; True if it was not set before."""
        mask = 0x80 >> (index & 7)
        byte = self._bytes[index >> 3]
        if byte & mask:
            return False
        self._bytes[index >> 3] = byte | mask
        self.count += 1
        return True

    def add_range(self, first: int, stop: int) -> None:
        """Set the bits first … stop - 1, which must lie inside; a range costs bytes, not bits."""
        if first >= stop:
            return
        low, high = -(-first // 8), stop // 8
        if low < high:
            self.count += (
                8 * (high - low) - int.from_bytes(self._bytes[low:high], "big").bit_count()
            )
            self._bytes[low:high] = b"\xff" * (high - low)
            edges = (*range(first, 8 * low), *range(8 * high, stop))
        else:
            edges = (*range(first, stop),)
        for index in edges:
            self.add(index)

    def common_with(self, other: Bitfield) -> Bitfield:
        """What is set in both, of the same size."""
        return self._of_same_size(self._as_number() & other._as_number())

    def without(self, other: Bitfield) -> Bitfield:
        """What is set here and not in `other`, of the same size."""
        return self._of_same_size(self._as_number() & ~other._as_number())

    def _as_number(self) -> int:
        return int.from_bytes(self._bytes, "big")

    def _of_same_size(self, bits: int) -> Bitfield:
        made = Bitfield(self.size)
        made._bytes[:] = bits.to_bytes(len(self._bytes), "big")
        made.count = bits.bit_count()
        return made

    def discard(self, index: int) -> bool:
        """Clear a bit; True if it was set before."""
        mask = 0x80 >> (index & 7)
        byte = self._bytes[index >> 3]
        if not byte & mask:
            return False
        self._bytes[index >> 3] = byte & ~mask
        self.count -= 1
        return True

    @property
    def is_full(self) -> bool:
        return self.count == self.size

    def __iter__(self) -> Iterator[int]:
        """Yield the set indexes, rising."""
        for number, byte in enumerate(self._bytes):
            if byte:
                base = number << 3
                for bit in _BITS_OF_BYTE[byte]:
                    yield base + bit

    def missing(self) -> Iterator[int]:
        """Yield the clear indexes, rising."""
        for number, byte in enumerate(self._bytes):
            if byte != 0xFF:
                base = number << 3
                for bit in _BITS_OF_BYTE[byte ^ 0xFF]:
                    if base + bit < self.size:
                        yield base + bit

    def __len__(self) -> int:
        return self.count

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bitfield):
            return NotImplemented
        return self.size == other.size and self._bytes == other._bytes

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Bitfield({self.count}/{self.size})"
