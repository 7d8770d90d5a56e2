"""Piece and block arithmetic as a type: the last piece and the last block are handled here only.

A torrent is a run of `total_length` bytes cut into pieces of `piece_length`; a piece is cut into
blocks of BLOCK_LENGTH, the unit of a request (BEP 3).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

BLOCK_LENGTH = 16 * 1024
"""Bytes asked for in one request; larger ones are dropped by most clients."""

Span: TypeAlias = tuple[int, int, int]
"""(piece index, begin in bytes, length in bytes): one block of a piece, or some in a row."""


def cut_into_blocks(spans: Iterable[Span]) -> list[Span]:
    """Cut spans, which begin where a block does, into their blocks."""
    return [
        (index, at, min(BLOCK_LENGTH, begin + length - at))
        for index, begin, length in spans
        for at in range(begin, begin + length, BLOCK_LENGTH)
    ]


class Geometry:
    """Immutable sums over one torrent. All offsets and lengths are bytes."""

    __slots__ = (
        "blocks_per_piece",
        "is_even",
        "last_piece_length",
        "piece_count",
        "piece_length",
        "total_length",
    )

    def __init__(self, total_length: int, piece_length: int) -> None:
        if total_length < 0 or piece_length <= 0:
            raise ValueError(f"no geometry: {total_length} bytes in pieces of {piece_length}")
        self.total_length = total_length
        self.piece_length = piece_length
        self.piece_count = -(-total_length // piece_length)
        self.last_piece_length = total_length - max(0, self.piece_count - 1) * piece_length
        self.blocks_per_piece = -(-piece_length // BLOCK_LENGTH)
        self.is_even = not piece_length % BLOCK_LENGTH
        """Blocks can be numbered through the torrent: all but the last have BLOCK_LENGTH, and each
        begins at its number times that. So it is in nearly all torrents."""

    def piece_size(self, index: int) -> int:
        return self.piece_length if index < self.piece_count - 1 else self.last_piece_length

    def piece_offset(self, index: int) -> int:
        return index * self.piece_length

    def block_count(self, index: int) -> int:
        if index < self.piece_count - 1:
            return self.blocks_per_piece
        return -(-self.last_piece_length // BLOCK_LENGTH)

    def block_size(self, index: int, block: int) -> int:
        return min(BLOCK_LENGTH, self.piece_size(index) - block * BLOCK_LENGTH)

    def block_number(self, index: int, begin: int) -> int:
        """Number the block that begins there through the torrent, which must be even."""
        return index * self.blocks_per_piece + begin // BLOCK_LENGTH

    def block_place(self, number: int) -> tuple[int, int]:
        """Return (index, begin) of the block of this number; the torrent must be even."""
        index, block = divmod(number, self.blocks_per_piece)
        return index, block * BLOCK_LENGTH

    def contains(self, index: int, begin: int, length: int) -> bool:
        """True if the span lies inside piece `index` and is not empty."""
        return (
            0 <= index < self.piece_count
            and begin >= 0
            and length > 0
            and begin + length <= self.piece_size(index)
        )

    def __repr__(self) -> str:
        return f"Geometry({self.total_length} bytes, {self.piece_count} × {self.piece_length})"
