"""Whom a super-seed offers what: each piece once, and more to those who pass it on (BEP 16)."""

from __future__ import annotations

import random
from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.swarm.availability import Availability
from engine.swarm.super_seeding import (
    ALONE_S,
    FIRST_AT_ONCE,
    FIRST_S,
    PENDING,
    PENDING_ALONE,
    RELAY_S,
    WINDOW,
    SuperSeeding,
)


class Swarm:
    """Peers, what they have, and the seed that offers it to them."""

    def __init__(self, pieces: int, peers: Iterable[str] = (), seed: int = 1) -> None:
        self.size = pieces
        self.availability = Availability(pieces)
        self.seeding: SuperSeeding[str] = SuperSeeding(self.availability, random.Random(seed))
        self.peers: dict[str, Bitfield] = {}
        self.sent: list[tuple[str, int]] = []
        for peer in peers:
            self.join(peer)

    def join(self, peer: str, has: Iterable[int] = ()) -> None:
        self.peers[peer] = Bitfield(self.size)
        self.seeding.peer_added(peer, self.peers[peer])
        for index in has:
            self.has(peer, index)

    def leave(self, peer: str) -> None:
        self.availability.remove_mask(self.availability.masks.of(self.peers.pop(peer)))
        self.seeding.peer_removed(peer)

    def has(self, peer: str, index: int) -> None:
        """A peer says that it has a piece."""
        if self.peers[peer].add(index):
            self.availability.add(index)
            self.seeding.peer_gained(peer, index)

    def pour(self, into: str, now: float = 0.0) -> None:
        """Let a peer have all that it is offered."""
        while made := self.offer(now, able=into):
            for peer, index in made:
                self.has(peer, index)

    def offer(
        self, now: float = 0.0, most: int = 8, able: Iterable[str] | None = None
    ) -> list[tuple[str, int]]:
        made = self.seeding.offers(now, self.peers if able is None else able, most)
        self.sent += made
        return made


def test_each_piece_is_offered_to_one_peer() -> None:
    swarm = Swarm(20, "abc")
    made = swarm.offer()
    assert sorted(peer for peer, _ in made) == sorted("abc" * PENDING)
    assert len({index for _, index in made}) == 3 * PENDING
    assert swarm.offer() == []


def test_who_stays_alone_is_offered_many_at_a_time() -> None:
    swarm = Swarm(40, "a")
    assert len(swarm.offer()) == PENDING
    assert swarm.offer(now=ALONE_S - 0.1) == []
    assert len(swarm.offer(now=ALONE_S)) == PENDING_ALONE - PENDING
    swarm.join("b")
    assert len(swarm.offer(now=ALONE_S + 1.0)) == PENDING


def test_who_gets_a_piece_is_offered_the_next() -> None:
    swarm = Swarm(20, "ab")
    peer, index = swarm.offer()[0]
    swarm.has(peer, index)
    ((again, other),) = swarm.offer()
    assert again == peer
    assert other != index


def test_who_passes_nothing_on_gets_no_more_than_a_window() -> None:
    swarm = Swarm(100, "ab")
    for _ in range(50):
        for peer, index in swarm.offer(able="a"):
            swarm.has(peer, index)
    assert WINDOW <= len(swarm.sent) < WINDOW + PENDING
    swarm.has("b", swarm.sent[0][1])
    swarm.has("b", swarm.sent[1][1])
    assert swarm.offer(able="a")


def test_whoever_is_alone_gets_everything() -> None:
    swarm = Swarm(30, "a")
    for _ in range(40):
        for peer, index in swarm.offer():
            swarm.has(peer, index)
    assert swarm.peers["a"].is_full


def test_no_more_peers_than_slots_have_offers_open() -> None:
    swarm = Swarm(50, "abcdef")
    assert len({peer for peer, _ in swarm.offer(most=2)}) == 2
    assert swarm.offer(most=2) == []
    assert len({peer for peer, _ in swarm.offer(most=3)}) == 1


def test_who_passed_all_on_comes_before_who_holds_back() -> None:
    swarm = Swarm(50, "ab")
    for peer, index in swarm.offer():
        swarm.has(peer, index)
        if peer == "b":
            swarm.has("a", index)
    assert swarm.offer(most=1)[0][0] == "b"


def test_what_a_lost_peer_had_not_got_is_offered_to_others() -> None:
    swarm = Swarm(2, "a")
    swarm.offer()
    swarm.join("b")
    assert swarm.offer() == []
    swarm.leave("a")
    assert {index for _, index in swarm.offer()} == {0, 1}


def test_what_nobody_passes_on_is_offered_again_after_a_while() -> None:
    swarm = Swarm(3, "ab")
    for _ in range(5):
        for peer, index in swarm.offer(able="a"):
            swarm.has(peer, index)
    assert swarm.peers["a"].is_full
    assert swarm.offer(now=1.0) == []
    assert swarm.offer(now=RELAY_S - 0.1) == []
    assert len(swarm.offer(now=RELAY_S + 2.0)) == PENDING


def test_what_several_keep_to_themselves_is_offered_again() -> None:
    swarm = Swarm(3, "abc")
    for _ in range(5):
        for peer, index in swarm.offer(able="a"):
            swarm.has(peer, index)
            swarm.has("b", index)
    assert swarm.offer(now=1.0, able="c") == []
    assert len(swarm.offer(now=RELAY_S + 2.0, able="c")) == PENDING


def test_what_is_offered_again_goes_to_one_more_peer() -> None:
    swarm = Swarm(6, "abcdef")
    for _ in range(5):
        for peer, index in swarm.offer(able="a"):
            swarm.has(peer, index)
    assert swarm.offer(now=1.0, able="bcdef") == []
    again = [index for _, index in swarm.offer(now=RELAY_S + 2.0, able="bcdef")]
    assert len(again) == len(set(again)) == 6


def passed_on_to_b() -> Swarm:
    """Of a, b and c the first two have all eight pieces, and only a was sent any."""
    swarm = Swarm(8, "abc")
    for _ in range(2):
        swarm.pour("a")
        for index in swarm.peers["a"]:
            swarm.has("b", index)
    assert swarm.peers["b"].is_full
    return swarm


def test_what_waits_at_those_who_pass_things_on_is_not_offered_again() -> None:
    swarm = passed_on_to_b()
    for index, now in enumerate((0.8 * RELAY_S, 1.6 * RELAY_S, 2.4 * RELAY_S)):
        assert swarm.offer(now) == []
        swarm.has("c", index)
    assert swarm.offer(3.2 * RELAY_S) == []


def test_who_is_fed_by_nobody_is_offered_what_spreads_no_further() -> None:
    swarm = passed_on_to_b()
    assert swarm.offer(RELAY_S - 0.1) == []
    swarm.pour("c", now=RELAY_S + 2.0)  # and not only the first that it is offered
    assert swarm.peers["c"].is_full


def test_what_only_those_have_who_keep_it_is_offered_to_who_is_fed() -> None:
    swarm = Swarm(WINDOW + 8, "abcd")
    swarm.pour("a")
    kept = set(swarm.peers["a"])
    swarm.pour("b")
    passed_on = list(swarm.peers["b"])
    for index in passed_on[:-1]:
        swarm.has("c", index)
    swarm.pour("b")
    assert len(kept) + swarm.peers["b"].count == swarm.size
    assert swarm.offer(RELAY_S - 0.1) == []
    swarm.has("c", passed_on[-1])
    again = {index for _, index in swarm.offer(RELAY_S + 2.0, able="c")}
    assert again
    assert again <= kept


def test_the_last_one_is_left_to_those_who_are_done() -> None:
    swarm = Swarm(20, "ab")
    while not swarm.peers["a"].is_full:
        swarm.pour("a")
        for index in swarm.peers["a"]:
            if swarm.peers["b"].count < 10:
                swarm.has("b", index)
        swarm.pour("b")
        for index in swarm.peers["b"]:
            swarm.has("a", index)
    lacked = swarm.size - swarm.peers["b"].count
    assert lacked > PENDING
    swarm.offer(10.0)
    swarm.has("b", next(swarm.peers["b"].missing()))
    swarm.leave("a")
    assert swarm.offer(10.0 + 0.9 * ALONE_S) == []
    assert swarm.offer(10.0 + ALONE_S)


def test_of_a_crowd_a_few_get_their_first_piece_at_a_time() -> None:
    swarm = Swarm(100, "abcdefgh")
    first = swarm.offer()
    assert len({peer for peer, _ in first}) == len(first) == FIRST_AT_ONCE
    assert swarm.offer(now=1.0) == []
    for peer, index in first:
        swarm.has(peer, index)
    second = {peer for peer, _ in swarm.offer(now=1.0)}
    assert len(second) == FIRST_AT_ONCE
    assert not second & {peer for peer, _ in first}
    # Who has passed on what it got need not wait for the others.
    giver, index = first[0]
    swarm.has(next(iter(second)), index)
    assert giver in {peer for peer, _ in swarm.offer(now=1.0)}


def test_who_does_not_get_its_first_piece_is_not_waited_for() -> None:
    swarm = Swarm(100, "abcdefgh")
    first = {peer for peer, _ in swarm.offer()}
    assert swarm.offer(now=FIRST_S - 0.1) == []
    second = {peer for peer, _ in swarm.offer(now=FIRST_S)}
    assert len(second) == FIRST_AT_ONCE
    assert not second & first


def test_a_loser_of_what_two_were_offered_may_come_and_go() -> None:
    swarm = Swarm(2, "ab")
    swarm.offer(able="a")
    swarm.offer(now=RELAY_S + 2.0, able="b")
    swarm.leave("a")
    swarm.join("c")
    swarm.offer(now=RELAY_S + 3.0)
    assert {peer for peer, _ in swarm.sent} == set("abc")


def test_what_somebody_brings_along_is_not_fresh() -> None:
    swarm = Swarm(4, "b")
    swarm.join("a", has=[0, 1, 2])
    assert {index for _, index in swarm.offer()} == {3}


@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 2**32))
def test_a_swarm_that_passes_on_gets_it_all_for_one_copy(
    peers: int, pieces: int, seed: int
) -> None:
    rng = random.Random(seed)
    swarm = Swarm(pieces, map(str, range(peers)), seed)
    for turn in range(pieces * peers * 4):
        waiting = swarm.offer(now=turn / 100)
        for peer, index in waiting:
            swarm.has(peer, index)
        held = [index for index in range(pieces) if swarm.availability.count(index)]
        if held:
            index = min(held, key=swarm.availability.count)
            lacking = [peer for peer, has in swarm.peers.items() if not has[index]]
            if lacking:
                swarm.has(rng.choice(lacking), index)
        if all(has.is_full for has in swarm.peers.values()):
            break
    assert all(has.is_full for has in swarm.peers.values())
    assert len(swarm.sent) == len(set(swarm.sent))
    assert len({index for _, index in swarm.sent}) == len(swarm.sent) == pieces
