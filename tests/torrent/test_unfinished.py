"""Blocks of begun pieces: kept once each, forgotten when their piece ends, whatever happens."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.core.geometry import BLOCK_LENGTH, Geometry, cut_into_blocks
from engine.swarm.piece_picker import PiecePicker
from engine.torrent.unfinished import Unfinished

GEOMETRY = Geometry(5 * 4 * BLOCK_LENGTH + 100, 4 * BLOCK_LENGTH)


class World:
    """A picker and its buffers, as a download has them, with one peer that has all."""

    def __init__(self) -> None:
        self.picker: PiecePicker[str] = PiecePicker(
            GEOMETRY, Bitfield(GEOMETRY.piece_count), random.Random(1)
        )
        self.everything = Bitfield.full(GEOMETRY.piece_count)
        self.picker.peer_added("p", self.everything)
        self.buffers = {index: memoryview(bytearray(4 * BLOCK_LENGTH)) for index in range(6)}
        self.unfinished = Unfinished()
        self.kept: dict[tuple[int, int], bytes] = {}
        """What the state database would hold."""
        self.asked: list[tuple[int, int, int]] = []
        self.now = 0.0

    def ask(self, count: int) -> None:
        for request in cut_into_blocks(self.picker.pick("p", self.everything, count)):
            self.asked.append(request)
            self.unfinished.begun(request[:1], self.now)

    def receive(self) -> None:
        if not self.asked:
            return
        index, begin, length = self.asked.pop(0)
        self.buffers[index][begin : begin + length] = bytes([index + 1]) * length
        if self.picker.received("p", index, begin, length).completed:
            self.picker.pieces_verified([index])
            self.unfinished.ended(index)

    def commit(self, older_than_s: float) -> None:
        taken = self.unfinished.take_new(self.picker, self.buffers, self.now - older_than_s)
        for index in self.unfinished.take_ended():
            self.kept = {key: data for key, data in self.kept.items() if key[0] != index}
        for piece, block, data in taken:
            assert (piece, block) not in self.kept, "kept twice"
            self.kept[piece, block] = data


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "receive", "commit"]), st.integers(1, 8)), max_size=60
)


@given(STEPS)
def test_what_is_kept_are_the_received_blocks_of_begun_pieces(steps: list[tuple[str, int]]) -> None:
    world = World()
    for what, amount in steps:
        world.now += 1.0
        if what == "ask":
            world.ask(amount)
        elif what == "receive":
            for _ in range(amount):
                world.receive()
        else:
            world.commit(0.0)
    world.commit(0.0)
    begun = {
        (partial.index, block)
        for partial in world.picker.partials()
        for block, source in enumerate(partial.sources)
        if source is not None
    }
    assert set(world.kept) == begun
    for (piece, block), data in world.kept.items():
        assert data == bytes([piece + 1]) * GEOMETRY.block_size(piece, block)


def test_pieces_that_are_done_in_seconds_are_not_bothered_with() -> None:
    world = World()
    world.now = 100.0
    world.ask(2)
    world.receive()
    world.now = 105.0
    world.commit(10.0)
    assert not world.kept
    world.now = 111.0
    world.commit(10.0)
    assert len(world.kept) == 1


def test_what_came_back_is_not_kept_again_and_is_forgotten_with_its_piece() -> None:
    world = World()
    world.unfinished.restored(3, {0, 1})
    assert world.unfinished.is_restored(3)
    assert not world.unfinished.is_restored(2)
    world.unfinished.ended(3)
    assert world.unfinished.take_ended() == [3]
    assert world.unfinished.take_ended() == []
    world.unfinished.ended(2)  # nothing of it was kept
    assert world.unfinished.take_ended() == []
