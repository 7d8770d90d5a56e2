"""Which choice of files holds, and when all is in its place for it."""

from __future__ import annotations

import gc

from engine.storage.placement import Placement, placement_at


def test_another_choice_is_not_settled_before_somebody_says_so() -> None:
    placement = Placement()
    era, skipped = placement.choice
    assert (skipped, placement.is_settled) == (frozenset(), False)
    assert placement.settle(era)
    assert placement.is_settled
    placement.choose(frozenset())
    assert placement.is_settled, "it is the same choice"
    placement.choose({1})
    assert not placement.is_settled
    assert not placement.settle(era), "that was said of another"
    placement.choose(frozenset())
    assert not placement.is_settled, "to and fro is no way back"
    assert placement.settle(placement.choice[0])


def test_who_writes_by_an_earlier_choice_is_waited_for() -> None:
    placement = Placement()
    first, _ = placement.begin()
    assert placement.settle(first), "who writes by this one does no harm"
    placement.choose({1})
    second, skipped = placement.begin()
    assert (second, skipped) == (first + 1, {1})
    assert not placement.settle(second)
    placement.end(first)
    assert placement.settle(second)
    placement.end(second)
    assert placement.is_settled


def test_all_who_see_a_torrent_share_it_and_nobody_keeps_it() -> None:
    placement = placement_at("/a")
    placement.choose({1})
    assert placement_at("/a") is placement
    assert placement_at("/b") is not placement
    del placement
    gc.collect()
    assert placement_at("/a").choice == (0, frozenset())
