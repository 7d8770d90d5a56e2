"""BEP 12, with its own examples."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from engine.discovery.tracker_tiers import TrackerTiers

urls = st.sampled_from([f"http://t{n}/announce" for n in range(8)])
tier_lists = st.lists(st.lists(urls, max_size=5), max_size=5)


@given(tier_lists, st.integers())
def test_every_tracker_is_tried_once_in_the_first_tier_that_names_it(
    tiers: list[list[str]], seed: int
) -> None:
    made = TrackerTiers(tiers, random.Random(seed))
    order = list(made)
    assert len(order) == len(set(order)) == len(made)
    assert set(order) == {url for tier in tiers for url in tier}
    first = [next(n for n, tier in enumerate(tiers) if url in tier) for url in order]
    assert first == sorted(first)
    assert all(made.tiers)


def test_a_tier_is_shuffled_once() -> None:
    tier = [f"http://t{n}/" for n in range(6)]
    orders = {tuple(TrackerTiers([tier], random.Random(seed))) for seed in range(20)}
    assert len(orders) > 10
    made = TrackerTiers([tier], random.Random(1))
    assert list(made) == list(made)


def test_backups_stay_in_their_order() -> None:
    made = TrackerTiers([["a"], ["b"], ["c"]], random.Random(0))
    made.succeeded("c")
    assert list(made) == ["a", "b", "c"]


def test_the_example_of_bep_12() -> None:
    made = TrackerTiers([["1", "2", "3"]], random.Random(0))
    for url in ("3", "2", "1"):
        made.succeeded(url)
    assert list(made) == ["1", "2", "3"]
    made.succeeded("2")
    assert list(made) == ["2", "1", "3"]
    made.succeeded("3")
    assert list(made) == ["3", "2", "1"]


@given(tier_lists, st.lists(urls), st.integers())
def test_success_moves_within_its_tier_only(
    tiers: list[list[str]], successes: list[str], seed: int
) -> None:
    made = TrackerTiers(tiers, random.Random(seed))
    before = [set(tier) for tier in made.tiers]
    for url in successes:
        made.succeeded(url)
        number = made.tier_of(url)
        if number is not None:
            assert made.tiers[number][0] == url
    assert [set(tier) for tier in made.tiers] == before


def test_trackers_come_and_go() -> None:
    made = TrackerTiers([["a", "b"]], random.Random(0))
    assert made.add("c", 0)
    assert made.add("d")
    assert made.add("e", 7)
    assert not made.add("a", 1)
    assert (made.tier_of("c"), made.tier_of("d"), made.tier_of("e")) == (0, 1, 2)
    assert made.remove("d")
    assert not made.remove("d")
    assert (made.tier_of("e"), made.tier_of("d"), len(made)) == (1, None, 4)
    made.succeeded("d")
