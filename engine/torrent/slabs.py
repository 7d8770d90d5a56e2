"""Reused buffers in which batches of piece frames are laid out for one send."""

from __future__ import annotations

from engine.core.geometry import BLOCK_LENGTH, Geometry
from engine.storage.reader import ReadRun
from engine.swarm.upload_queue import Request, Run
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
        self.blocks = [
            self.view[at + PIECE_HEADER_LENGTH : at + FRAME_LENGTH]
            for at in range(0, len(self.buffer), FRAME_LENGTH)
        ]

    def lay_out(self, batch: list[Run] | Request, geometry: Geometry) -> list[ReadRun]:
        """Write the headers of the frames; return what is to be read, and to where. HOT."""
        if isinstance(batch, tuple):
            index, begin, length = batch
            encoder.pack_piece_header_into(self.buffer, 0, index, begin, length)
            block = self.view[PIECE_HEADER_LENGTH : PIECE_HEADER_LENGTH + length]
            return [(geometry.piece_offset(index) + begin, [block])]
        runs: list[ReadRun] = []
        frame = 0
        for first, end in batch:
            encoder.pack_run_headers_into(
                self.buffer, frame * FRAME_LENGTH, range(first, end), geometry.blocks_per_piece
            )
            until = frame + end - first
            runs.append((first * BLOCK_LENGTH, self.blocks[frame:until]))
            frame = until
        return runs


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
