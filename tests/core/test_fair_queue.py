"""Equal amounts for all who wait, however much each takes in its turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.core.fair_queue import FairQueue


def _turns(queue: FairQueue[str], shares: dict[str, int], count: int) -> dict[str, int]:
    """Let all who wait take their share again and again; return what each got."""
    taken = dict.fromkeys(shares, 0)
    for _ in range(count):
        who = queue.order()[0]
        queue.begin_turn(who)
        taken[who] += shares[who]
        queue.took(who, shares[who])
        queue.join(who)
    return taken


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 100), min_size=2))
def test_all_who_always_wait_get_the_same(shares: dict[str, int]) -> None:
    queue: FairQueue[str] = FairQueue()
    for who in shares:
        queue.join(who)
    taken = _turns(queue, shares, 2000)
    assert max(taken.values()) - min(taken.values()) <= 2 * max(shares.values())


@given(st.lists(st.sampled_from("abcdefgh"), max_size=20))
def test_equals_are_served_as_they_came_and_each_once(names: list[str]) -> None:
    queue: FairQueue[str] = FairQueue()
    for who in names:
        queue.join(who)
    assert queue.order() == list(dict.fromkeys(names))
    assert len(queue) == len(set(names))


def test_who_took_little_is_ahead_of_who_took_much() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.join("stream")
    queue.join("talker")
    for who, amount in (("stream", 1000), ("talker", 10)):
        queue.begin_turn(who)
        queue.join("other")
        queue.took(who, amount)
        queue.join(who)
    assert queue.order() == ["other", "talker", "stream"]


def test_nobody_saves_up_turns_by_staying_away() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.join("a")
    queue.join("b")
    _turns(queue, {"a": 10, "b": 10}, 1000)
    queue.join("late")
    taken = _turns(queue, {"a": 10, "b": 10, "late": 10}, 300)
    assert 990 <= taken["late"] <= 1010


def test_who_leaves_is_forgotten_and_so_are_all_when_nobody_waits() -> None:
    queue: FairQueue[str] = FairQueue()
    queue.join("a")
    queue.join("b")
    _turns(queue, {"a": 10, "b": 10}, 9)
    queue.leave("a")
    assert "a" not in queue
    assert "b" in queue
    queue.begin_turn("b")
    queue.took("b", 10)
    assert not queue._ends
