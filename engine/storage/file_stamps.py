"""How the files of one torrent looked at one time, 16 bytes for each; resuming trusts it.

Invariant: what is kept over a restart are these bytes, little endian.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

_NUMBER_BYTES = 8
_NO_FILE = -1
"""In place of a size: nothing is stored."""


@dataclass(frozen=True, slots=True)
class FileStamp:
    """What tells whether a file was touched since: resuming trusts it, rechecking does not."""

    size_bytes: int
    mtime_ns: int


class FileStamps(Sequence[FileStamp | None]):
    """One for each file; None where nothing is stored. Equal to any sequence of equal stamps."""

    __slots__ = ("_numbers",)

    def __init__(self, count: int) -> None:
        """Of `count` files of which nothing is known."""
        self._numbers = array("q", (_NO_FILE, 0)) * count

    @classmethod
    def of(cls, stamps: Iterable[FileStamp | None]) -> FileStamps:
        """Keep stamps in this form."""
        if isinstance(stamps, FileStamps):
            return stamps
        made = cls(0)
        for stamp in stamps:
            pair = (_NO_FILE, 0) if stamp is None else (stamp.size_bytes, stamp.mtime_ns)
            made._numbers.extend(pair)
        return made

    @classmethod
    def from_bytes(cls, data: bytes) -> FileStamps:
        """Read what `to_bytes` gave. Raises struct.error."""
        if len(data) % (2 * _NUMBER_BYTES):
            raise struct.error(f"{len(data)} bytes of stamps")
        made = cls(0)
        made._numbers.frombytes(data)
        if sys.byteorder == "big":
            made._numbers.byteswap()
        return made

    def to_bytes(self) -> bytes:
        if sys.byteorder == "little":
            return self._numbers.tobytes()
        numbers = self._numbers[:]
        numbers.byteswap()
        return numbers.tobytes()

    @property
    def sizes(self) -> array[int]:
        """A copy of the sizes alone, in bytes; negative where nothing is stored."""
        return self._numbers[::2]

    @property
    def has_any(self) -> bool:
        """True if a file is stored."""
        return max(self.sizes, default=_NO_FILE) != _NO_FILE

    def put(self, number: int, size_bytes: int, mtime_ns: int) -> None:
        """Say how a file looks, while nobody else has this object."""
        self._numbers[2 * number] = size_bytes
        self._numbers[2 * number + 1] = mtime_ns

    def followed_by(self, stamp: FileStamp | None) -> FileStamps:
        """The same stamps and one more."""
        more = FileStamps.of([stamp])
        more._numbers = self._numbers + more._numbers
        return more

    def __len__(self) -> int:
        return len(self._numbers) // 2

    @overload
    def __getitem__(self, number: int) -> FileStamp | None: ...

    @overload
    def __getitem__(self, number: slice) -> tuple[FileStamp | None, ...]: ...

    def __getitem__(self, number: int | slice) -> FileStamp | tuple[FileStamp | None, ...] | None:
        if isinstance(number, slice):
            return tuple(self[each] for each in range(*number.indices(len(self))))
        if number < 0:
            number += len(self)
        if not 0 <= number < len(self):
            raise IndexError(f"no stamp {number} among {len(self)}")
        size = self._numbers[2 * number]
        return None if size == _NO_FILE else FileStamp(size, self._numbers[2 * number + 1])

    def __iter__(self) -> Iterator[FileStamp | None]:
        numbers = iter(self._numbers)
        for size, mtime_ns in zip(numbers, numbers, strict=True):
            yield None if size == _NO_FILE else FileStamp(size, mtime_ns)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FileStamps):
            return self._numbers == other._numbers
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"FileStamps.of({list(self)!r})"
