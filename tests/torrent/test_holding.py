"""The sums of a torrent: what is had, wanted and left, whatever comes in which order."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.core.file_choice import FileChoice
from engine.core.geometry import Geometry
from engine.core.identifiers import InfoHash
from engine.torrent.holding import Holding, bytes_of
from engine.torrent.summary import Summary


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 26), st.randoms(use_true_random=False))
def test_bytes_of_what_is_had(size: int, piece_length: int, rng: random.Random) -> None:
    piece_length = max(piece_length, size >> 9, 1)
    geometry = Geometry(size, piece_length)
    have = Bitfield(geometry.piece_count)
    for index in range(geometry.piece_count):
        if rng.random() < 0.5:
            have.add(index)
    assert bytes_of(have, geometry) == sum(map(geometry.piece_size, have))
    assert bytes_of(Bitfield.full(geometry.piece_count), geometry) == size


def summary_of(size: int, piece_length: int) -> Summary:
    return Summary(InfoHash(bytes(20)), "t", size, piece_length, 1, False, ())


@given(st.integers(1, 5000), st.integers(1, 300), st.data())
def test_sums_follow_pieces_and_choices(size: int, piece_length: int, data: st.DataObject) -> None:
    holding = Holding(summary_of(size, piece_length), None, None)
    count = holding.geometry.piece_count
    wanted = set(range(count))
    for _ in range(data.draw(st.integers(0, 12))):
        if data.draw(st.booleans()):
            indexes = data.draw(st.sets(st.integers(0, count - 1)))
            holding.count_pieces([index for index in indexes if holding.have.add(index)])
        else:
            wanted = data.draw(st.sets(st.integers(0, count - 1)))
            field = Bitfield(count)
            for index in wanted:
                field.add(index)
            holding.choice = FileChoice(b"\0", field)
            holding.count()
    piece_size = holding.geometry.piece_size
    assert holding.wanted_bytes == sum(map(piece_size, wanted))
    assert holding.wanted_left == sum(piece_size(i) for i in wanted if not holding.have[i])
    assert holding.left == sum(map(piece_size, holding.have.missing()))
    assert holding.is_finished == all(holding.have[index] for index in wanted)
    assert holding.is_complete == (holding.left == 0)


def test_of_a_link_nothing_is_finished() -> None:
    holding = Holding(summary_of(0, 0), None, None)
    assert not holding.is_finished
    assert not holding.is_complete
    assert holding.left == 1, "0 would mean a seed"
