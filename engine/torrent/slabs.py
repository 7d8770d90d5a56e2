"""Reused buffers in which batches of piece frames are laid out for one send."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.core.geometry import BLOCK_LENGTH, Geometry, Span
from engine.storage.backend import WritableView
from engine.storage.reader import ReadRun
from engine.swarm.upload_queue import Run
from engine.wire import encoder
from engine.wire.encoder import PIECE_HEADER_LENGTH

FRAME_LENGTH = PIECE_HEADER_LENGTH + BLOCK_LENGTH
BLOCKS_PER_SLAB = 16
SMALL_BATCH = 4
"""Up to so many blocks have a small buffer of their own, so that a slow peer does not hold a whole
slab for seconds."""
FIRST_BATCH = 1
"""Blocks sent at a time to a peer of which nothing is known, or that is slow."""
_KEPT = 16
"""Free slabs kept for reuse; 4 MiB. More may be out at a time, one or two for each busy peer."""


class Slab:
    """A buffer of whole frames; `blocks` are the places of the blocks, cut once and for all."""

    __slots__ = ("blocks", "buffer", "view")

    def __init__(self, frames: int) -> None:
        self.buffer = bytearray(FRAME_LENGTH * frames)
        self.view = memoryview(self.buffer)
        self.blocks = _cut(self.view)

    def lay_out(
        self, batch: Sequence[Run | Span], geometry: Geometry, joined: int = 1
    ) -> tuple[list[ReadRun], int]:
        """Write the headers of the frames, one behind the other; up to `joined` neighbouring blocks
        have one together. Return what is to be read, and to where, and how many bytes the frames
        are. HOT."""
        runs: list[ReadRun] = []
        views: list[WritableView] = []
        at, read_until = 0, -1
        for entry in batch:
            if len(entry) == 2:
                first, end = entry
                if joined > 1:
                    blocks, behind = self._joined(at, first, end, geometry, joined)
                else:
                    blocks, behind = self._single(at, first, end, geometry)
                offset = first * BLOCK_LENGTH
                length = (end - first) * BLOCK_LENGTH
            else:
                index, begin, length = entry
                encoder.pack_piece_header_into(self.buffer, at, index, begin, length)
                offset = geometry.piece_offset(index) + begin
                behind = at + PIECE_HEADER_LENGTH + length
                blocks = [self.view[at + PIECE_HEADER_LENGTH : behind]]
            if offset != read_until:
                views = []
                runs.append((offset, views))
            views += blocks
            at, read_until = behind, offset + length
        return runs, at

    def _single(
        self, at: int, first: int, end: int, geometry: Geometry
    ) -> tuple[Sequence[memoryview], int]:
        """A frame for each block; returns their places, and the offset behind them."""
        encoder.pack_run_headers_into(self.buffer, at, range(first, end), geometry.blocks_per_piece)
        behind = at + (end - first) * FRAME_LENGTH
        frame, is_between = divmod(at, FRAME_LENGTH)
        if is_between:  # an odd one comes before
            return _cut(self.view[at:behind]), behind
        return self.blocks[frame : frame + end - first], behind

    def _joined(
        self, at: int, first: int, end: int, geometry: Geometry, most: int
    ) -> tuple[Sequence[memoryview], int]:
        """As few frames as may be, none over the end of a piece; returns as `_single`."""
        places: list[memoryview] = []
        for begin, behind in joined_frames(first, end, geometry.blocks_per_piece, most):
            length = (behind - begin) * BLOCK_LENGTH
            encoder.pack_piece_header_into(self.buffer, at, *geometry.block_place(begin), length)
            at += PIECE_HEADER_LENGTH
            places.append(self.view[at : at + length])
            at += length
        return places, at


def joined_frames(first: int, end: int, blocks_per_piece: int, most: int) -> Iterator[Run]:
    """Cut a run of blocks into those that go into one frame each: up to `most`, of one piece."""
    while first < end:
        behind = min(end, first + most, (first // blocks_per_piece + 1) * blocks_per_piece)
        yield first, behind
        first = behind


def frames_of(entry: Run | Span) -> int:
    """Whole frames that have room for it."""
    return entry[1] - entry[0] if len(entry) == 2 else -(-entry[2] // BLOCK_LENGTH)


def _cut(frames: memoryview) -> list[memoryview]:
    """The places of the blocks in whole frames."""
    return [
        frames[at + PIECE_HEADER_LENGTH : at + FRAME_LENGTH]
        for at in range(0, len(frames), FRAME_LENGTH)
    ]


class Slabs:
    """Slabs of BLOCKS_PER_SLAB piece frames each. Loop thread only."""

    __slots__ = ("_free", "in_use")

    def __init__(self) -> None:
        self._free: list[Slab] = []
        self.in_use = 0

    def acquire(self) -> Slab:
        self.in_use += 1
        return self._free.pop() if self._free else Slab(BLOCKS_PER_SLAB)

    def release(self, slab: Slab) -> None:
        self.in_use -= 1
        if len(self._free) < _KEPT:
            self._free.append(slab)
