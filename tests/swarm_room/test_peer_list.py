from __future__ import annotations

import math
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from engine.core.compact import Endpoint
from engine.swarm.canonical_priority import canonical_priority
from engine.swarm.peer_list import (
    FIRST_RETRY_S,
    LAST_RETRY_S,
    MAX_FAILURES,
    RECONNECT_S,
    UNFIT_FOR_PRIVATE,
    PeerList,
    PeerSource,
)

TRACKER, MANUAL = PeerSource.TRACKER, PeerSource.MANUAL
OURS = Endpoint("198.51.100.7", 6881)


def address(number: int, port: int = 6881) -> Endpoint:
    return Endpoint(f"203.0.{number >> 8 & 255}.{number & 255}", port)


def listing(count: int, **how: object) -> PeerList:
    peers = PeerList(Random(1), **how)  # type: ignore[arg-type]
    for number in range(count):
        assert peers.add(address(number), TRACKER, 0.0)
    return peers


def fail(peers: PeerList, endpoint: Endpoint, now: float) -> None:
    peers.dialling(endpoint, now)
    peers.disconnected(endpoint, now, failed=True)


def test_an_address_is_learnt_once_and_nonsense_never() -> None:
    peers = PeerList(Random(1), ours=[OURS])
    assert peers.add(address(1), TRACKER, 0.0)
    assert not peers.add(address(1), TRACKER, 0.0)
    assert not peers.add(OURS, TRACKER, 0.0)
    assert not peers.add(address(2, port=0), TRACKER, 0.0)
    assert not peers.add(address(2, port=70000), TRACKER, 0.0)
    peers.ban(address(3))
    assert not peers.add(address(3), MANUAL, 0.0)
    assert peers.endpoints() == [address(1)]
    assert address(1) in peers
    assert peers.source_of(address(1)) is TRACKER
    assert peers.source_of(address(9)) is PeerSource.INCOMING


def test_manual_comes_first_then_what_failed_least_then_bep_40() -> None:
    peers = listing(10, ours=[OURS])
    peers.add(address(100), MANUAL, 0.0)
    fail(peers, address(4), 0.0)
    later = 10_000.0
    order = peers.candidates(later, 99)
    assert order[0] == address(100)
    assert order[-1] == address(4)
    middle = [canonical_priority(OURS, endpoint) for endpoint in order[1:-1]]
    assert middle == sorted(middle, reverse=True)
    assert peers.candidates(later, 3) == order[:3]
    assert peers.candidates(later, 0) == []


def test_priorities_follow_our_address_and_it_is_never_dialled() -> None:
    peers = listing(10)
    peers.set_ours([address(3), Endpoint("2001:db8::1", 6881)])
    order = peers.candidates(0.0, 99)
    assert len(order) == 9
    assert address(3) not in order
    priorities = [canonical_priority(address(3), endpoint) for endpoint in order]
    assert priorities == sorted(priorities, reverse=True)
    assert peers.add(Endpoint("2001:db8::2", 1), TRACKER, 0.0)


def test_what_is_dialled_or_connected_is_no_candidate() -> None:
    peers = listing(3)
    peers.dialling(address(0), 0.0)
    peers.dialling(address(1), 0.0)
    peers.connected(address(1), 1.0)
    assert peers.candidates(2.0, 9) == [address(2)]
    peers.dialling(address(2), 2.0)
    assert peers.candidates(1e9, 9) == []
    assert peers.next_try_at() == math.inf


def test_waiting_doubles_up_to_a_cap_and_ends_in_oblivion() -> None:
    peers = listing(1)
    now, waits = 0.0, []
    while address(0) in peers:
        assert peers.candidates(now, 1) == [address(0)]
        fail(peers, address(0), now)
        if address(0) in peers:
            due = peers.next_try_at()
            assert peers.candidates(math.nextafter(due, 0), 1) == []
            waits.append(due - now)
            now = due
    assert len(waits) == MAX_FAILURES - 1
    for number, wait in enumerate(waits):
        expected = min(LAST_RETRY_S, FIRST_RETRY_S * 2**number)
        assert 0.8 * expected <= wait <= 1.2 * expected


def test_a_manual_address_is_never_forgotten() -> None:
    peers = PeerList(Random(1))
    peers.add(address(0), MANUAL, 0.0)
    for number in range(100):
        fail(peers, address(0), number * 1e5)
    assert peers.next_try_at() <= 99e5 + 1.2 * LAST_RETRY_S


def test_a_manual_address_that_is_only_starting_is_tried_again_within_seconds() -> None:
    peers = PeerList(Random(1))
    peers.add(address(0), MANUAL, 0.0)
    fail(peers, address(0), 0.0)
    assert peers.next_try_at() <= 1.2 * RECONNECT_S


def test_naming_an_address_by_hand_retries_it_at_once() -> None:
    peers = listing(1)
    for _ in range(5):
        fail(peers, address(0), 0.0)
    assert peers.candidates(1.0, 1) == []
    assert not peers.add(address(0), TRACKER, 1.0)
    assert peers.candidates(1.0, 1) == []
    assert not peers.add(address(0), MANUAL, 1.0)
    assert peers.candidates(1.0, 1) == [address(0)]


def test_a_lost_peer_is_reconnected_at_once_but_not_in_a_loop() -> None:
    peers = listing(1)
    fail(peers, address(0), 0.0)
    peers.dialling(address(0), 100.0)
    peers.connected(address(0), 101.0)
    peers.disconnected(address(0), 130.0, failed=False)
    assert peers.next_try_at() == 130.0 + RECONNECT_S
    assert peers.endpoints() == [address(0)]

    waits = []
    now = 200.0
    for _ in range(4):
        peers.connected(address(0), now)
        peers.disconnected(address(0), now + 0.5, failed=False)
        waits.append(peers.next_try_at() - now)
        now = peers.next_try_at()
    assert waits == sorted(waits)
    assert waits[-1] > 50


def test_a_lost_peer_is_not_kept_waiting_by_the_others() -> None:
    peers = listing(2)
    peers.connected(address(0), 0.0)
    for _ in range(5):
        fail(peers, address(1), 0.0)
    assert peers.candidates(50.0, 9) == []
    peers.disconnected(address(0), 60.0, failed=False)
    assert peers.candidates(61.0, 9) == [address(0)]


def test_seeds_are_left_out_while_we_seed() -> None:
    peers = listing(2)
    peers.seen_as_seed(address(0))
    assert peers.candidates(0.0, 9, seeding=True) == [address(1)]
    assert set(peers.candidates(0.0, 9)) == {address(0), address(1)}
    peers.dialling(address(1), 0.0)
    assert peers.next_try_at(seeding=True) == math.inf


def test_a_ban_covers_an_address_or_a_host() -> None:
    peers = listing(2)
    peers.add(address(0, port=7000), TRACKER, 0.0)
    peers.ban(address(0))
    assert set(peers.candidates(0.0, 9)) == {address(1), address(0, port=7000)}
    peers.ban_host(address(0).host)
    assert peers.candidates(0.0, 9) == [address(1)]
    assert peers.is_banned(address(0, port=1234))
    assert not peers.is_banned(address(1))
    peers.disconnected(address(0), 1.0, failed=True)
    assert address(0) not in peers


def test_bans_do_not_pile_up() -> None:
    peers = PeerList(Random(1))
    for number in range(10_000):
        peers.ban(address(number))
    assert peers.is_banned(address(9_999))
    assert not peers.is_banned(address(0))


def test_a_full_list_forgets_what_failed_and_else_refuses() -> None:
    peers = listing(100, max_known=100)
    assert not peers.add(address(200), TRACKER, 0.0)
    assert peers.add(address(201), MANUAL, 0.0)
    for number in range(20):
        fail(peers, address(number), 0.0)
    fail(peers, address(201), 0.0)
    peers.connected(address(19), 0.0)
    added = sum(peers.add(address(300 + number), TRACKER, 1.0) for number in range(200))
    assert 15 <= added <= 20
    assert address(201) in peers
    assert address(19) in peers, "a connected peer is kept"
    assert len(peers) <= 101


actions = st.tuples(
    st.sampled_from(["add", "manual", "dial", "connect", "lose", "fail", "ban", "wait"]),
    st.integers(0, 9),
)


@given(st.lists(actions, max_size=60))
def test_candidates_are_exactly_what_is_due(steps: list[tuple[str, int]]) -> None:
    peers = PeerList(Random(1), max_known=8)
    now = 0.0
    busy: set[Endpoint] = set()
    for what, number in steps:
        endpoint = address(number)
        if what == "add":
            peers.add(endpoint, TRACKER, now)
        elif what == "manual":
            peers.add(endpoint, MANUAL, now)
        elif what == "dial":
            for candidate in peers.candidates(now, 1):
                peers.dialling(candidate, now)
                busy.add(candidate)
        elif what == "connect" and endpoint in peers:
            peers.connected(endpoint, now)
            busy.add(endpoint)
        elif what in ("lose", "fail"):
            peers.disconnected(endpoint, now, failed=what == "fail")
            busy.discard(endpoint)
        elif what == "ban":
            peers.ban(endpoint)
            busy.discard(endpoint)
        elif what == "wait":
            now += 7.0 * number
        candidates = peers.candidates(now, 99)
        assert not set(candidates) & busy
        assert all(candidate in peers for candidate in candidates)
        assert bool(candidates) == (peers.next_try_at() <= now)
        assert busy <= {address(n) for n in range(10) if address(n) in peers}


def test_who_is_set_aside_has_not_failed_and_can_be_recalled() -> None:
    peers = listing(2)
    fail(peers, address(0), 0.0)
    peers.dialling(address(1), 0.0)
    peers.connected(address(1), 1.0)
    assert peers.candidates(1.0, 9) == []
    peers.set_aside(address(1), 50.0)
    assert peers.candidates(49.0, 9) == [address(0)]
    assert peers.candidates(50.0, 9) == [address(1), address(0)]
    fail(peers, address(0), 60.0)
    peers.set_aside(address(1), 100.0)
    assert peers.candidates(61.0, 9) == []
    peers.recall()
    assert peers.candidates(61.0, 9) == [address(1)]
    peers.set_aside(address(7), 0.0)
    assert address(7) not in peers


def test_a_private_torrent_forgets_what_was_not_from_its_trackers() -> None:
    peers = listing(3)
    for number, source in enumerate((PeerSource.PEX, PeerSource.LSD, PeerSource.DHT, MANUAL)):
        peers.add(address(100 + number), source, 0.0)
    peers.forget_sources(UNFIT_FOR_PRIVATE)
    assert set(peers.endpoints()) == {address(0), address(1), address(2), address(103)}
    assert peers.learned == {TRACKER: 3, MANUAL: 1}


def test_an_address_is_untried_until_it_is_dialled() -> None:
    peers = listing(2)
    assert peers.is_untried(address(0))
    peers.dialling(address(0), 0.0)
    peers.connected(address(1), 0.0)
    assert not any(peers.is_untried(address(number)) for number in range(3))


def test_how_a_peer_was_spoken_with_is_remembered() -> None:
    peers = listing(2)
    peers.speaks(address(0), encrypted=True)
    peers.speaks(address(9), encrypted=True)
    assert [peers.encrypts(address(number)) for number in (0, 1, 9)] == [True, None, None]
    peers.dialling(address(0), 0.0)
    peers.disconnected(address(0), 1.0, failed=True)
    assert peers.encrypts(address(0)) is True
    peers.speaks(address(0), encrypted=False)
    assert peers.encrypts(address(0)) is False
    assert address(9) not in peers
