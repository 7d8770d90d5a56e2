"""Blocks of begun pieces that are kept over a pause, a restart or a kill.

They are not verified, and so never go where the files are: the state database keeps them until
their piece is complete and its hash decides. Pieces that are done within seconds are not bothered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from engine.core.geometry import BLOCK_LENGTH, Geometry
from engine.swarm.piece_picker import PiecePicker
from engine.torrent.peer import Peer

SLOW_PIECE_S = 10.0
"""A piece that is being fetched for longer than this is kept block by block as it grows."""


class UnfinishedBlock(NamedTuple):
    piece: int
    block: int
    data: bytes


class Unfinished:
    """What of one torrent's begun pieces is kept already, and what should be."""

    __slots__ = ("_begun_at", "_ended", "_kept")

    def __init__(self) -> None:
        self._begun_at: dict[int, float] = {}
        self._kept: dict[int, set[int]] = {}
        self._ended: list[int] = []

    def begun(self, indexes: Iterable[int], now: float) -> None:
        self._begun_at.update(dict.fromkeys(indexes, now))

    def restored(self, index: int, blocks: set[int]) -> None:
        """These blocks of a piece came back from where they were kept."""
        self._kept[index] = blocks

    def is_restored(self, index: int) -> bool:
        return index in self._kept

    def ended(self, index: int) -> None:
        """The piece was written, failed or dropped: what is kept of it is worth nothing now."""
        self._begun_at.pop(index, None)
        if self._kept and self._kept.pop(index, None) is not None:
            self._ended.append(index)

    def take_ended(self) -> list[int]:
        """The pieces to forget since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def take_new(
        self,
        picker: PiecePicker[Peer],
        buffers: Mapping[int, memoryview | None],
        before: float,
    ) -> list[UnfinishedBlock]:
        """Copy the blocks that are not kept yet of all pieces begun before a time."""
        taken: list[UnfinishedBlock] = []
        for partial in picker.partials():
            index = partial.index
            buffer = buffers[index]
            if buffer is None or self._begun_at.get(index, before) > before:
                continue
            kept = self._kept.setdefault(index, set())
            view = buffer[: partial.length]
            for block, source in enumerate(partial.sources):
                if source is not None and block not in kept:
                    kept.add(block)
                    begin = block * BLOCK_LENGTH
                    data = bytes(view[begin : begin + BLOCK_LENGTH])
                    taken.append(UnfinishedBlock(index, block, data))
        return taken


def by_piece(kept: Iterable[UnfinishedBlock]) -> dict[int, dict[int, bytes]]:
    """The content of each block, by its number in its piece."""
    pieces: dict[int, dict[int, bytes]] = {}
    for piece, block, data in kept:
        pieces.setdefault(piece, {})[block] = data
    return pieces


def is_of(geometry: Geometry, piece: int, blocks: Mapping[int, bytes]) -> bool:
    """True if there is such a piece, and blocks of it are so long."""
    return piece < geometry.piece_count and all(
        block < geometry.block_count(piece) and len(data) == geometry.block_size(piece, block)
        for block, data in blocks.items()
    )


def put_back(buffer: memoryview, blocks: Mapping[int, bytes]) -> None:
    """Copy blocks to their places in the buffer of their piece."""
    for block, data in blocks.items():
        begin = block * BLOCK_LENGTH
        buffer[begin : begin + len(data)] = data
