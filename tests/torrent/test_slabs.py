"""Slabs: of one size, reused, and counted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH
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
