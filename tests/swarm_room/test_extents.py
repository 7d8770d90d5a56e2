"""Extents: what is chosen together lies together, is wanted, and leaves nothing out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.geometry import Geometry
from engine.swarm.extents import EXTENT_BYTES, Extents
from engine.swarm.piece_masks import PieceMasks

KIB = 1024


def _extents(piece_length: int, count: int) -> tuple[Extents, PieceMasks]:
    masks = PieceMasks(count)
    return Extents(Geometry(piece_length * count, piece_length), masks), masks


@pytest.mark.parametrize(
    ("piece_length", "count", "pieces"),
    [
        (16 * KIB, 10_000, 16),
        (64 * KIB, 10_000, 4),
        (EXTENT_BYTES, 10_000, 1),
        (16 * EXTENT_BYTES, 10_000, 1),
        (16 * KIB, 64 * 5, 5),
        (16 * KIB, 12, 1),
    ],
)
def test_small_pieces_come_in_extents_unless_the_torrent_is_small(
    piece_length: int, count: int, pieces: int
) -> None:
    assert _extents(piece_length, count)[0].pieces == pieces


@given(st.sets(st.integers(0, 1023), min_size=1), st.integers(0, 1 << 30))
def test_what_is_chosen_is_one_run_of_the_mask_in_one_extent(wanted: set[int], seed: int) -> None:
    extents, masks = _extents(16 * KIB, 1024)
    rng = random.Random(seed)
    left = set(wanted)
    while left:
        chosen = extents.choose(masks.of_indexes(left), rng)
        assert chosen
        assert set(chosen) <= left
        assert chosen[0] // extents.pieces == chosen[-1] // extents.pieces
        begun = chosen[: rng.randint(1, len(chosen))]
        extents.begun(begun.stop)
        left -= set(begun)


def test_whole_extents_are_chosen_from_their_beginning() -> None:
    extents, masks = _extents(16 * KIB, 1024)
    rng = random.Random(1)
    starts = {extents.choose(masks.full, rng) for _ in range(200)}
    assert all(len(chosen) == 16 and chosen.start % 16 == 0 for chosen in starts)
    assert len(starts) > 30


def test_the_rest_of_the_extent_begun_last_comes_first() -> None:
    extents, masks = _extents(16 * KIB, 1024)
    rng = random.Random(1)
    chosen = extents.choose(masks.full, rng)
    extents.begun(chosen.start + 5)
    assert extents.choose(masks.full ^ masks.of_run(chosen.start, 5), rng) == chosen[5:]
