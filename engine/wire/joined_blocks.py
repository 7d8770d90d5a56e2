"""Neighbouring blocks in one `piece` message, told as they come (an extension of ours). HOT.

    data      [ …rest of a block | block | block | beginning of a block… ]
    _split    the beginning of one block, BLOCK_LENGTH bytes long in the end

Who takes such messages says so in the extension handshake (`max_joined`); blocks are asked for,
cancelled and rejected one by one all the same (BEP 3).
"""

from __future__ import annotations

from engine.core.geometry import BLOCK_LENGTH
from engine.wire.messages import JoinedBlocks, Message


class JoinedReader:
    """Reads the payload of such messages. `left` is how many of its bytes are still to come."""

    __slots__ = ("_begin", "_index", "_place", "_split", "left")

    def __init__(self) -> None:
        self._index = 0
        self._begin = 0
        self._place = memoryview(b"")
        self._split = bytearray()
        self.left = 0

    @property
    def rest(self) -> tuple[int, int, int]:
        """Piece, offset and length of what was not told yet: what is kept and what is to come."""
        return self._index, self._begin, len(self._split) + self.left

    @property
    def pending_bytes(self) -> int:
        """Bytes of a split block that are kept until its rest arrives."""
        return len(self._split)

    @property
    def missing_bytes(self) -> int:
        """Bytes until a block is whole; 0 = none is awaited."""
        return BLOCK_LENGTH - len(self._split) if self.left else 0

    def start(self, index: int, begin: int, length: int) -> None:
        """The head of a message was read; `length` of its blocks is a multiple of BLOCK_LENGTH."""
        self._index = index
        self._begin = begin
        self.left = length

    def read(self, data: memoryview, at: int, messages: list[Message]) -> int:
        """Take what is there from `at` on; returns the offset behind it. The views that are told
        borrow `data`, or, of a block that was split, a buffer of its own."""
        end = min(len(data), at + self.left)
        self.left -= end - at
        if self._split:
            rest = data[at : min(at + BLOCK_LENGTH - len(self._split), end)]
            self._split += rest
            at += len(rest)
            if len(self._split) < BLOCK_LENGTH:
                return at
            self._tell(memoryview(self._split), messages)
            self._split = bytearray()
        whole = at + (end - at) // BLOCK_LENGTH * BLOCK_LENGTH
        if at < whole:
            self._tell(data[at:whole], messages)
        self._split += data[whole:end]
        return end

    # ── receiving right into the place ──────────────────────────────────────────────────────────

    def land_in(self, place: memoryview) -> memoryview:
        """Put what is kept into `place`, which is for all of the `rest`; returns where the next
        bytes of the stream belong. `landed` is called next, or when nothing came this or `read`:
        by then the place may be that of another piece, and nothing is put into it any more."""
        kept = len(self._split)
        place[:kept] = self._split
        self._place = place
        return place[kept:]

    def landed(self, count: int) -> int:
        """Count bytes that were received to where `land_in` said; returns how many bytes of the
        place are whole blocks now. What follows them is kept here, and the place is left alone."""
        end = len(self._split) + count
        whole = end // BLOCK_LENGTH * BLOCK_LENGTH
        self._split = bytearray(self._place[whole:end])
        self._place = memoryview(b"")
        self._begin += whole
        self.left -= count
        return whole

    def _tell(self, view: memoryview, messages: list[Message]) -> None:
        messages.append(JoinedBlocks(self._index, self._begin, view))
        self._begin += len(view)
