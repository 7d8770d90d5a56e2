"""Hole punching, the decisions: introductions, refusals, and how little a liar can make us do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import Endpoint
from engine.swarm.hole_punching import (
    ASK_AT_ONCE,
    ASKED_FOR_S,
    GRANT_AT_ONCE,
    GRANT_EVERY_S,
    MAX_INTRODUCED,
    SAME_HOST_S,
    UNINVITED_AT_ONCE,
    UNINVITED_EVERY_S,
    UNINVITED_OF_ALL_AT_ONCE,
    UNINVITED_OF_ALL_EVERY_S,
    Acquaintance,
    Allowance,
    Introduction,
    Introductions,
    Party,
    Refusal,
    introduce,
)
from engine.swarm.pex_exchange import MAX_AT_ONCE

RELAY = "203.0.113.9"


def address(number: int, port: int = 6881) -> Endpoint:
    return Endpoint(f"8.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", port)


def party(number: int, *, speaks: bool = True) -> Party:
    at = address(number)
    return Party(at.host, at, Acquaintance(0.0) if speaks else None)


# ── the relay ───────────────────────────────────────────────────────────────────────────────────


def test_both_are_named_at_the_addresses_that_we_see() -> None:
    asker, target = party(1), party(2)
    wanted = address(2, 7000)  # where it listens; a router has it leave from another port
    told = introduce(asker, target, wanted, 0.0, is_ours=False)
    assert told == Introduction(to_asker=address(2), to_target=address(1))


def test_refusals_are_those_of_bep_55() -> None:
    asker = party(1)

    def answer(target: Party | None, wanted: Endpoint, *, is_ours: bool = False) -> object:
        return introduce(asker, target, wanted, 0.0, is_ours=is_ours)

    assert answer(None, address(2)) is Refusal.NOT_CONNECTED
    assert answer(party(2, speaks=False), address(2)) is Refusal.NO_SUPPORT
    assert answer(None, address(3), is_ours=True) is Refusal.NO_SELF
    assert answer(asker, address(1)) is Refusal.NO_SELF
    for host, port in (("8.8.8.8", 0), ("224.0.0.1", 1), ("0.0.0.0", 1), ("::ffff:8.8.8.8", 1)):
        assert answer(None, Endpoint(host, port)) is Refusal.NO_SUCH_PEER


def test_who_cannot_be_reached_by_utp_is_named_to_nobody() -> None:
    without = party(2)._replace(address=None)
    assert introduce(without, party(1), address(1), 0.0, is_ours=False) is Refusal.NOT_CONNECTED
    assert introduce(party(1), without, address(2), 0.0, is_ours=False) is Refusal.NOT_CONNECTED


@pytest.mark.parametrize("local", ["192.168.1.5", "127.0.0.1", "fe80::1"])
def test_a_local_network_and_the_world_do_not_meet(local: str) -> None:
    here = Party(local, Endpoint(local, 6881), Acquaintance(0.0))
    world = party(1)
    for asker, target in ((here, world), (world, here)):
        assert target.address is not None
        answer = introduce(asker, target, target.address, 0.0, is_ours=False)
        assert answer is Refusal.NOT_CONNECTED


def test_nobody_is_told_of_askers_without_end() -> None:
    target = party(0)
    answers = [
        introduce(party(number), target, address(0), 0.0, is_ours=False)
        for number in range(1, 1000)
    ]
    made = [each for each in answers if isinstance(each, Introduction)]
    assert len(made) == GRANT_AT_ONCE
    again = introduce(party(1), target, address(0), GRANT_EVERY_S, is_ours=False)
    assert isinstance(again, Introduction)


# ── who asks ────────────────────────────────────────────────────────────────────────────────────


def test_only_who_knows_an_address_is_asked_for_it_and_once() -> None:
    relay = Acquaintance(0.0)
    assert not relay.ask(address(1), 0.0)
    relay.told([address(1), address(2)], [])
    assert relay.ask(address(1), 0.0)
    assert not relay.ask(address(1), 1.0), "it is awaited"
    assert relay.ask(address(1), ASKED_FOR_S + 1)
    relay.told([], [address(2)])
    assert not relay.ask(address(2), 0.0), "they are not connected any more"


def test_a_relay_is_not_flooded_by_us() -> None:
    relay = Acquaintance(0.0)
    relay.told([address(number) for number in range(MAX_AT_ONCE)], [])
    assert sum(relay.ask(address(number), 0.0) for number in range(MAX_AT_ONCE)) == ASK_AT_ONCE
    assert ASK_AT_ONCE <= GRANT_AT_ONCE


def test_what_a_relay_tells_takes_bounded_memory() -> None:
    relay = Acquaintance(0.0)
    relay.told((address(number) for number in range(MAX_INTRODUCED + 1)), [])
    assert not relay.ask(address(0), 0.0)
    assert relay.ask(address(1), 0.0)


def test_a_refused_introduction_is_not_asked_for_again() -> None:
    relay = Acquaintance(0.0)
    relay.told([address(1)], [])
    assert not relay.refused(address(1)), "nobody asked"
    assert relay.ask(address(1), 0.0)
    assert relay.refused(address(1))
    assert not relay.refused(address(1))
    assert not relay.ask(address(1), 20.0)


# ── who is named to us ──────────────────────────────────────────────────────────────────────────


def test_an_answer_is_followed_once_whatever_its_port() -> None:
    relay, ours = Acquaintance(0.0), Introductions(0.0)
    relay.told([address(1)], [])
    assert relay.ask(address(1), 0.0)
    assert relay.is_awaited(address(1, 50_000), 1.0)
    assert not relay.is_awaited(address(1), 1.0)
    assert relay.ask(address(1), 2.0)
    assert not relay.is_awaited(address(1), 2.0 + ASKED_FOR_S + 1), "too late"
    assert ours.heeds(relay, RELAY, address(2), 0.0), "somebody asked for us"


@pytest.mark.parametrize(
    "named",
    [
        Endpoint("192.168.0.1", 80),
        Endpoint("127.0.0.1", 80),
        Endpoint("::1", 80),
        Endpoint("::ffff:127.0.0.1", 80),
        Endpoint("239.1.1.1", 80),
        Endpoint("8.8.8.8", 0),
    ],
)
def test_nobody_is_sent_where_a_stranger_cannot_look(named: Endpoint) -> None:
    assert not Introductions(0.0).heeds(Acquaintance(0.0), RELAY, named, 0.0)


def test_a_host_is_not_dialled_again_and_again_for_many_relays() -> None:
    ours = Introductions(0.0)
    assert ours.heeds(Acquaintance(0.0), RELAY, address(1), 0.0)
    assert not ours.heeds(Acquaintance(0.0), RELAY, address(1, 80), SAME_HOST_S - 1)
    assert ours.heeds(Acquaintance(0.0), RELAY, address(1), SAME_HOST_S + 1)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 2000)), max_size=400))
def test_floods_of_connects_send_us_to_few(flood: list[tuple[int, int]]) -> None:
    """`flood`: which relay names somebody, and how many milliseconds after the one before."""
    ours = Introductions(0.0)
    relays = [Acquaintance(0.0) for _ in range(31)]
    heeded = [0] * 31
    now = 0.0
    for number, (which, later_ms) in enumerate(flood):
        now += later_ms / 1000
        heeded[which] += ours.heeds(relays[which], RELAY, address(number), now)
    assert sum(heeded) <= UNINVITED_OF_ALL_AT_ONCE + now / UNINVITED_OF_ALL_EVERY_S
    assert max(heeded) <= UNINVITED_AT_ONCE + now / UNINVITED_EVERY_S


def test_one_relay_does_not_use_up_what_the_others_may() -> None:
    ours, greedy = Introductions(0.0), Acquaintance(0.0)
    assert sum(ours.heeds(greedy, RELAY, address(n), 0.0) for n in range(500)) == UNINVITED_AT_ONCE
    assert ours.heeds(Acquaintance(0.0), RELAY, address(1000), 0.0)


def test_an_allowance_fills_up_to_its_bound() -> None:
    allowance = Allowance(3, 10.0, 0.0)
    assert [allowance.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert not allowance.take(9.9)
    assert allowance.take(10.0)
    assert [allowance.take(1000.0) for _ in range(4)] == [True, True, True, False]
