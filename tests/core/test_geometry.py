from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.geometry import BLOCK_LENGTH, Geometry

geometries = st.builds(
    Geometry,
    st.integers(0, 3_000_000),
    st.sampled_from([1 << 14, 1 << 15, 1 << 18, 1 << 24, 40_000, 16_383, 16_385]),
)


@given(geometries)
def test_pieces_cover_the_torrent_exactly(geometry: Geometry) -> None:
    sizes = [geometry.piece_size(index) for index in range(geometry.piece_count)]
    assert sum(sizes) == geometry.total_length
    assert all(0 < size <= geometry.piece_length for size in sizes)
    assert all(size == geometry.piece_length for size in sizes[:-1])
    offsets = [geometry.piece_offset(index) for index in range(geometry.piece_count)]
    assert offsets == [sum(sizes[:index]) for index in range(len(sizes))]


@given(geometries)
def test_blocks_cover_each_piece_exactly(geometry: Geometry) -> None:
    last = geometry.piece_count - 1
    for index in {0, 1, last - 1, last} & set(range(geometry.piece_count)):
        sizes = [geometry.block_size(index, block) for block in range(geometry.block_count(index))]
        assert sum(sizes) == geometry.piece_size(index)
        assert all(size == BLOCK_LENGTH for size in sizes[:-1])
        assert 0 < sizes[-1] <= BLOCK_LENGTH
        assert all(
            geometry.contains(index, block * BLOCK_LENGTH, size) for block, size in enumerate(sizes)
        )
        assert len(sizes) <= geometry.blocks_per_piece


@given(
    st.integers(0, 300),
    st.integers(1, 50),
    st.integers(-2, 60),
    st.integers(-2, 60),
    st.integers(-2, 60),
)
def test_contains_is_being_inside_one_piece(
    total: int, piece_length: int, index: int, begin: int, length: int
) -> None:
    offsets = range(index * piece_length, min((index + 1) * piece_length, total))
    inside = (
        index >= 0
        and begin >= 0
        and length > 0
        and set(range(begin, begin + length)) <= set(range(len(offsets)))
    )
    assert Geometry(total, piece_length).contains(index, begin, length) is inside


def test_an_empty_torrent_has_no_pieces() -> None:
    geometry = Geometry(0, 16384)
    assert geometry.piece_count == 0
    assert geometry.last_piece_length == 0
    assert not geometry.contains(0, 0, 1)


@pytest.mark.parametrize(
    ("total", "count", "last", "blocks"),
    [
        (1, 1, 1, 1),
        (32767, 1, 32767, 2),
        (32768, 1, 32768, 2),
        (32769, 2, 1, 1),
        (65536, 2, 32768, 2),
        (65536 + 16384, 3, 16384, 1),
        (65536 + 16385, 3, 16385, 2),
    ],
)
def test_edges_of_the_last_piece(total: int, count: int, last: int, blocks: int) -> None:
    geometry = Geometry(total, 32768)
    assert geometry.piece_count == count
    assert geometry.last_piece_length == geometry.piece_size(count - 1) == last
    assert geometry.block_count(count - 1) == blocks


@pytest.mark.parametrize(("total", "piece_length"), [(-1, 1), (1, 0), (0, 0), (1, -16384)])
def test_impossible_sums_are_our_bug(total: int, piece_length: int) -> None:
    with pytest.raises(ValueError, match="no geometry"):
        Geometry(total, piece_length)
