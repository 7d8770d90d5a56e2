"""Slabs: of one size, reused, and counted."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH, Geometry
from engine.torrent.slabs import _KEPT, BLOCKS_PER_SLAB, FRAME_LENGTH, Slab, Slabs
from engine.wire.encoder import PIECE_HEADER_LENGTH


def test_a_slab_holds_a_batch_of_whole_frames() -> None:
    slab = Slabs().acquire()
    assert len(slab.buffer) == len(slab.view) == BLOCKS_PER_SLAB * FRAME_LENGTH
    for number, block in enumerate(slab.blocks):
        block[:] = bytes([number + 1]) * BLOCK_LENGTH
    gap = bytes(PIECE_HEADER_LENGTH)
    frames = [gap + bytes([number + 1]) * BLOCK_LENGTH for number in range(BLOCKS_PER_SLAB)]
    assert slab.buffer == b"".join(frames)


_entries = st.one_of(
    st.tuples(st.integers(0, 60), st.integers(1, 4)).map(lambda it: (it[0], it[0] + it[1])),
    st.tuples(st.integers(0, 14), st.integers(0, 60_000), st.integers(1, 5000)),
)


def _frames(first: int, end: int, joined: int) -> Iterator[tuple[int, int, int]]:
    """What goes into a frame each, of pieces of four blocks."""
    while first < end:
        index, block = divmod(first, 4)
        count = min(joined, end - first, 4 - block)
        yield index, block * BLOCK_LENGTH, count * BLOCK_LENGTH
        first += count


@given(st.lists(_entries, max_size=4), st.sampled_from([1, 2, 3, 16]))
def test_what_is_laid_out_and_read_are_the_frames_in_their_order(
    batch: list[tuple[int, int] | tuple[int, int, int]], joined: int
) -> None:
    """Neighbouring blocks of a piece share a frame as far as they may."""
    geometry = Geometry(64 * BLOCK_LENGTH + 70_000, 4 * BLOCK_LENGTH)
    content = random.Random(1).randbytes(geometry.total_length)
    slab = Slab(BLOCKS_PER_SLAB)
    runs, size = slab.lay_out(batch, geometry, joined)
    for offset, views in runs:
        whole = iter(content[offset:])
        for view in views:
            view[:] = bytes(islice(whole, len(view)))
    expected = b""
    for entry in batch:
        spans = list(_frames(*entry, joined)) if len(entry) == 2 else [entry]
        for index, begin, length in spans:
            at = geometry.piece_offset(index) + begin
            expected += (
                struct.pack(">IBII", 9 + length, 7, index, begin) + content[at : at + length]
            )
    assert bytes(slab.view[:size]) == expected
    ends = [offset + sum(map(len, views)) for offset, views in runs]
    assert not any(end == offset for end, (offset, _) in zip(ends, runs[1:], strict=False))


@given(st.lists(st.booleans(), max_size=100))
def test_no_slab_is_handed_out_twice(turns: list[bool]) -> None:
    slabs = Slabs()
    out: list[Slab] = []
    for is_acquire in turns:
        if is_acquire:
            slab = slabs.acquire()
            assert all(slab is not other for other in out)
            out.append(slab)
        elif out:
            slabs.release(out.pop(0))
        assert slabs.in_use == len(out)
        assert len(slabs._free) <= _KEPT


def test_what_was_given_back_is_used_again() -> None:
    slabs = Slabs()
    slab = slabs.acquire()
    slabs.release(slab)
    assert slabs.acquire() is slab
