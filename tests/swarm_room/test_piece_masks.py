import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.swarm.piece_masks import PieceMasks


def bitfield(size: int, indexes: set[int]) -> Bitfield:
    field = Bitfield(size)
    for index in indexes:
        field.add(index)
    return field


sets = st.integers(1, 300).flatmap(
    lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1)))
)


@given(sets)
def test_a_mask_is_the_set_it_was_made_of(case: tuple[int, set[int]]) -> None:
    size, indexes = case
    masks = PieceMasks(size)
    mask = masks.of(bitfield(size, indexes))
    assert list(masks.indexes(mask)) == sorted(indexes)
    assert masks.of_indexes([*indexes, -1, size, size + 8]) == mask
    assert sum(masks.bit(index) for index in indexes) == mask
    assert masks.of_scattered(list(indexes)) == mask


@given(st.integers(0, 300))
def test_full_is_the_mask_of_all(size: int) -> None:
    masks = PieceMasks(size)
    assert masks.full == masks.of(Bitfield.full(size)) == masks.of_indexes(range(size))


@given(sets, st.integers())
def test_the_chosen_piece_is_one_of_the_mask(case: tuple[int, set[int]], seed: int) -> None:
    size, indexes = case
    if indexes:
        masks = PieceMasks(size)
        assert masks.choose(masks.of_indexes(indexes), random.Random(seed)) in indexes


@pytest.mark.parametrize(
    ("size", "indexes"),
    [(64, list(range(0, 64, 8))), (4001, [0, 1, 2, 3, 2000, 3999, 4000, 17])],
    ids=["dense", "sparse"],
)
def test_every_piece_is_chosen_as_often(size: int, indexes: list[int]) -> None:
    masks, rng = PieceMasks(size), random.Random(5)
    mask = masks.of_indexes(indexes)
    seen = Counter(masks.choose(mask, rng) for _ in range(4000))
    assert set(seen) == set(indexes)
    assert all(400 < count < 600 for count in seen.values()), seen
