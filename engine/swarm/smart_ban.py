"""Who sent the corrupt blocks of a piece that failed its hash (BEP 3).

A piece with one contributor has one culprit. Of others a checksum of each block is kept, and once
the piece verifies, whoever had sent something else is guilty: nobody is blamed on suspicion.
Checksums are CRC-32; a liar who hits the right one escapes, but nobody is blamed by a collision.
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from engine.core.geometry import BLOCK_LENGTH

PeerT = TypeVar("PeerT", bound=Hashable)

_MAX_PIECES = 64
_MAX_FAILURES = 8


class SmartBan(Generic[PeerT]):
    """The unsolved cases of one torrent, the oldest forgotten first when there are too many."""

    __slots__ = ("_cases",)

    def __init__(self) -> None:
        self._cases: dict[int, list[list[tuple[PeerT, int]]]] = {}

    def is_suspect(self, index: int) -> bool:
        """True if `verified` may blame somebody for this piece, and so needs its bytes."""
        return index in self._cases

    def failed(
        self, index: int, sources: Sequence[PeerT], data: bytes | bytearray | memoryview
    ) -> list[PeerT]:
        """Take down who sent which block of a corrupt piece. Returns peers that are guilty already.

        `sources` has one peer per block, `data` is the whole corrupt piece.
        """
        culprits = set(sources)
        if len(culprits) == 1:
            return list(culprits)
        if index not in self._cases and len(self._cases) >= _MAX_PIECES:
            del self._cases[next(iter(self._cases))]
        case = self._cases.setdefault(index, [])
        case.append(list(zip(sources, checksums(data), strict=True)))
        del case[:-_MAX_FAILURES]
        return []

    def verified(self, index: int, data: bytes | bytearray | memoryview) -> list[PeerT]:
        """Compare a piece that verified with its failures, and return who is guilty of them."""
        case = self._cases.pop(index, None)
        if case is None:
            return []
        right = checksums(data)
        guilty = {
            peer: None
            for failure in case
            for (peer, checksum), expected in zip(failure, right, strict=True)
            if checksum != expected
        }
        return list(guilty)


def checksums(data: bytes | bytearray | memoryview) -> list[int]:
    """Return the CRC-32 of each block of a piece."""
    view = memoryview(data)
    return [zlib.crc32(view[at : at + BLOCK_LENGTH]) for at in range(0, len(view), BLOCK_LENGTH)]
