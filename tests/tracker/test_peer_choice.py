"""Drawing peers: the right number, all different, never the asker, everyone equally likely."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.tracker.peer_choice import choose, draw


@dataclass(eq=False)
class Someone:
    name: str
    position: int


def pools_of(sizes: list[int]) -> list[list[Someone]]:
    return [
        [Someone(f"{number}-{at}", at) for at in range(size)] for number, size in enumerate(sizes)
    ]


@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=4),
    count=st.integers(-1, 60),
    seed=st.integers(0, 2**32),
    asker_in=st.integers(0, 4),
)
def test_a_choice_is_full_distinct_and_without_the_asker(
    sizes: list[int], count: int, seed: int, asker_in: int
) -> None:
    rng = random.Random(seed)
    pools = pools_of(sizes)
    home = pools[asker_in] if asker_in < len(pools) and pools[asker_in] else None
    asker = rng.choice(home) if home else Someone("outside", 0)
    everyone = {member.name for pool in pools for member in pool}
    chosen = choose(rng, pools, count, asker, home)
    names = {member.name for member in chosen}
    assert names <= everyone - {asker.name}
    assert len(chosen) == len(names) == max(0, min(count, len(everyone - {asker.name})))
    for pool in pools:
        assert [member.position for member in pool] == list(range(len(pool)))
    assert {member.name for pool in pools for member in pool} == everyone


@pytest.mark.parametrize(("total", "count"), [(10, 3), (10, 8), (7, 1), (100, 50)])
def test_every_number_is_equally_likely(total: int, count: int) -> None:
    rng = random.Random(2)
    rounds = 6000
    drawn = Counter(number for _ in range(rounds) for number in draw(rng, total, count))
    expected = rounds * count / total
    assert set(drawn) == set(range(total))
    assert all(abs(times - expected) < 6 * expected**0.5 for times in drawn.values())
