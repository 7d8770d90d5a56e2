"""Peer exchange: what a peer is told and when, and what is believed of what peers tell."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import Endpoint
from engine.errors import ProtocolError
from engine.swarm.peer_list import PeerList, PeerSource
from engine.swarm.pex_exchange import (
    FIRST_AFTER_S,
    INTERVAL_S,
    MAX_AT_ONCE,
    MAX_FIRST,
    MAX_UNTRIED,
    Hearing,
    Telling,
    may_know,
)

TELLER = "203.0.113.9"


def address(number: int) -> Endpoint:
    return Endpoint(f"8.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 6881)


def some(count: int, start: int = 0) -> list[Endpoint]:
    return [address(number) for number in range(start, start + count)]


# ── telling ─────────────────────────────────────────────────────────────────────────────────────


def test_the_first_word_comes_soon_and_the_next_after_a_minute() -> None:
    telling = Telling(100.0)
    assert not telling.is_due(100.0, 1)
    now = 100.0 + FIRST_AFTER_S
    assert telling.is_due(now, 1)
    assert telling.change(some(3), now, 1) == (some(3), [])
    assert not telling.is_due(now + INTERVAL_S - 0.1, 2)
    assert telling.is_due(now + INTERVAL_S, 2)
    assert not telling.is_due(now + INTERVAL_S, 1), "nothing is new"


def test_with_nothing_to_tell_nothing_is_used_up() -> None:
    telling = Telling(0.0)
    assert telling.change([], 5.0, 1) is None
    assert not telling.is_due(6.0, 1)
    assert telling.is_due(6.0, 2)
    assert telling.change(some(1), 6.0, 2) == (some(1), [])


def test_only_differences_are_told() -> None:
    telling = Telling(0.0)
    telling.change(some(5), 10.0, 1)
    change = telling.change([*some(2), *some(2, 10)], 100.0, 2)
    assert change == (some(2, 10), some(3, 2))
    assert telling.change([*some(2), *some(2, 10)], 200.0, 3) is None


def test_much_is_told_in_parts() -> None:
    telling = Telling(0.0)
    everybody, told, now = some(2 * MAX_AT_ONCE + 7), [], 10.0
    while telling.is_due(now, 1):
        change = telling.change(everybody, now, 1)
        if change is not None:
            told.append(len(change.added))
        now += INTERVAL_S
    assert told == [MAX_AT_ONCE, MAX_AT_ONCE, 7]


@given(st.lists(st.sets(st.integers(0, 150)), max_size=12))
def test_the_listener_knows_what_we_believe_it_knows(states: list[set[int]]) -> None:
    """It never hears of one address twice, nor that one is gone which it was not told of."""
    telling, theirs = Telling(0.0), set[Endpoint]()
    for number, state in enumerate(states):
        now = FIRST_AFTER_S + number * INTERVAL_S
        change = telling.change({address(each): None for each in state}, now, number)
        if change is None:
            assert theirs == {address(each) for each in state}
            continue
        assert len(change.added) + len(change.dropped) > 0
        assert max(len(change.added), len(change.dropped)) <= MAX_AT_ONCE
        assert not theirs & set(change.added)
        assert set(change.dropped) <= theirs
        assert not set(change.added) & set(change.dropped)
        theirs |= set(change.added)
        theirs -= set(change.dropped)
        assert theirs == set(telling.told)


@pytest.mark.parametrize(
    ("other", "may_hear_of"),
    [
        ("127.0.0.1", ("127.0.0.1", "192.168.1.1", "8.8.8.8")),
        ("192.168.1.7", ("192.168.1.1", "fd00::1", "8.8.8.8")),
        ("8.8.4.4", ("8.8.8.8", "2001:db8::1")),
    ],
)
def test_addresses_stay_in_their_network(other: str, may_hear_of: tuple[str, ...]) -> None:
    hosts = ("127.0.0.1", "::1", "192.168.1.1", "fd00::1", "8.8.8.8", "2001:db8::1")
    heard_of = {host for host in hosts if may_know(other, host)}
    assert heard_of >= set(may_hear_of)
    assert ("192.168.1.1" in heard_of) is (other != "8.8.4.4")
    assert ("127.0.0.1" in heard_of) is (other == "127.0.0.1")


# ── hearing ─────────────────────────────────────────────────────────────────────────────────────


def hear(hearing: Hearing, told: list[Endpoint], known: PeerList) -> int:
    believed = hearing.believe(told, TELLER, known)
    return sum(known.add(each, PeerSource.PEX, 0.0) for each in believed)


def test_a_minute_between_messages_is_always_welcome() -> None:
    hearing = Hearing(0.0)
    assert all(hearing.is_welcome(now * INTERVAL_S) for now in range(500))
    assert not hearing.ignored


def test_what_comes_too_soon_is_ignored_then_refused() -> None:
    hearing = Hearing(0.0)
    welcome = 0
    with pytest.raises(ProtocolError):
        for second in range(100):
            welcome += hearing.is_welcome(float(second))
    assert welcome <= 5
    assert hearing.ignored >= 20


def test_one_that_tells_twice_too_often_is_borne_for_ever() -> None:
    hearing = Hearing(0.0)
    welcome = sum(hearing.is_welcome(at * 30.0) for at in range(2000))
    assert 600 < welcome < 700


def test_a_first_message_may_tell_of_more() -> None:
    hearing, known = Hearing(0.0), PeerList(Random(1))
    assert hear(hearing, some(500), known) == MAX_FIRST
    assert hear(hearing, some(500, 1000), known) == MAX_AT_ONCE


def test_one_peer_cannot_fill_the_list() -> None:
    hearing, known = Hearing(0.0), PeerList(Random(1))
    for batch in range(50):
        hear(hearing, some(100, batch * 100), known)
    assert len(known) == MAX_UNTRIED
    assert hear(hearing, some(50, 10_000), known) == 0
    for each in known.candidates(1.0, 30):
        known.dialling(each, 1.0)
    assert hear(hearing, some(50, 20_000), known) == 30


def test_all_of_them_together_leave_places_for_others() -> None:
    known = PeerList(Random(1), max_known=1000)
    for teller in range(30):
        hear(Hearing(0.0), some(100, teller * 1000), known)
    assert len(known) == 750
    assert known.add(address(99_999), PeerSource.TRACKER, 0.0)
    assert known.learned == {PeerSource.PEX: 750, PeerSource.TRACKER: 1}


def test_one_port_of_a_host_counts() -> None:
    """Many would make us a weapon; on a machine of our own network they are different peers."""
    hearing, known = Hearing(0.0), PeerList(Random(1))
    told = [Endpoint("8.8.8.8", port) for port in range(1, 100)]
    assert hear(hearing, told, known) == 1
    local = [Endpoint("192.168.1.1", port) for port in range(1, 10)]
    assert len(Hearing(0.0).believe(local, "192.168.1.2", known)) == 9


def test_nonsense_is_not_believed() -> None:
    known = PeerList(Random(1))
    hosts = ("0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "127.0.0.1", "10.0.0.1")
    assert not Hearing(0.0).believe([Endpoint(host, 80) for host in hosts], TELLER, known)


def test_what_is_known_already_takes_no_place() -> None:
    hearing, known = Hearing(0.0), PeerList(Random(1))
    for each in some(100):
        known.add(each, PeerSource.TRACKER, 0.0)
    assert hear(hearing, some(150), known) == 50
    assert known.source_of(address(3)) is PeerSource.TRACKER
