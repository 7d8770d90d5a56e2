"""The fetch of an info dictionary: honest peers win whatever others do, and are never blamed."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.identifiers import InfoHash
from engine.errors import ProtocolError
from engine.swarm.metadata_fetch import (
    FIRST_REST_S,
    IMPATIENT_S,
    PIECE_BYTES,
    PIPELINE,
    SOLO_AT_ONCE,
    STALLED_S,
    TIMEOUT_S,
    MetadataFetch,
)

MAX_BYTES = 32 * PIECE_BYTES


def truth_of(size: int) -> bytes:
    return Random(size).randbytes(size)


def piece_of(whole: bytes, index: int) -> bytes:
    return whole[index * PIECE_BYTES : (index + 1) * PIECE_BYTES]


def fetch_of(truth: bytes) -> MetadataFetch[str]:
    return MetadataFetch(InfoHash.of(truth), max_bytes=MAX_BYTES)


def give(fetch: MetadataFetch[str], peer: str, whole: bytes, now: float = 0.0) -> list[str]:
    """Serve all that `peer` is asked for; returns who was found guilty."""
    guilty: list[str] = []
    while indices := fetch.requests(peer, now):
        for index in indices:
            guilty += fetch.received(peer, index, piece_of(whole, index))
    return guilty


@pytest.mark.parametrize("size", [1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, MAX_BYTES])
def test_one_peer_gives_all(size: int) -> None:
    truth = truth_of(size)
    fetch = fetch_of(truth)
    fetch.offered("a", size)
    assert give(fetch, "a", truth) == []
    assert fetch.metadata == truth
    assert fetch.requests("a", 0.0) == []


@pytest.mark.parametrize("size", [None, 0, -1, MAX_BYTES + 1, 4 << 30])
def test_an_absurd_size_is_no_offer(size: int | None) -> None:
    fetch = fetch_of(b"x")
    fetch.offered("a", size)
    assert fetch.source_count == 0
    assert fetch.requests("a", 0.0) == []


def test_several_peers_share_the_work() -> None:
    truth = truth_of(10 * PIECE_BYTES + 7)
    fetch = fetch_of(truth)
    asked: list[int] = []
    for peer in "abc":
        fetch.offered(peer, len(truth))
        picked = fetch.requests(peer, 0.0)
        assert len(picked) <= PIPELINE
        asked += picked
    assert asked[:11] == list(range(11))  # nothing is asked twice before all is asked once


def test_a_piece_is_asked_of_two_then_of_more() -> None:
    fetch = fetch_of(b"x")
    for peer in "abc":
        fetch.offered(peer, 1)
    assert fetch.requests("a", 0.0) == [0]
    assert fetch.requests("b", 0.0) == [0]
    assert fetch.requests("c", 0.0) == []
    assert fetch.requests("c", IMPATIENT_S) == [0]
    assert fetch.received("c", 0, b"x") == []
    assert fetch.metadata == b"x"


def test_what_is_rejected_is_asked_of_another_and_later_again() -> None:
    fetch = fetch_of(b"x")
    fetch.offered("a", 1)
    assert fetch.requests("a", 0.0) == [0]
    fetch.rejected("a", 0, 1.0)
    assert fetch.requests("a", 1.0) == []
    fetch.offered("b", 1)
    assert fetch.requests("b", 1.0) == [0]
    fetch.removed("b")
    assert fetch.requests("a", 1.0 + FIRST_REST_S) == [0]
    fetch.rejected("a", 0, 10.0)
    assert fetch.requests("a", 10.0 + FIRST_REST_S) == []  # it rests longer each time


def test_a_silent_peer_is_given_up_but_its_late_piece_is_taken() -> None:
    fetch = fetch_of(b"x")
    fetch.offered("a", 1)
    assert fetch.requests("a", 0.0) == [0]
    fetch.expire(TIMEOUT_S - 0.1)
    assert fetch.requests("a", TIMEOUT_S) == []
    fetch.expire(TIMEOUT_S)
    assert fetch.received("a", 0, b"x") == []
    assert fetch.metadata == b"x"


def test_what_was_not_asked_for_is_ignored() -> None:
    truth = truth_of(PIECE_BYTES * 6)
    fetch = fetch_of(truth)
    fetch.offered("a", len(truth))
    fetch.requests("a", 0.0)
    assert fetch.received("a", 5, bytes(PIECE_BYTES)) == []
    assert fetch.received("a", 99, bytes(PIECE_BYTES)) == []
    assert fetch.received("b", 0, bytes(PIECE_BYTES)) == []
    assert fetch.progress == 0.0
    assert give(fetch, "a", truth) == []


@pytest.mark.parametrize("length", [0, PIECE_BYTES - 1, PIECE_BYTES + 1])
def test_a_piece_of_a_wrong_length_is_the_senders_fault(length: int) -> None:
    truth = truth_of(PIECE_BYTES * 2)
    fetch = fetch_of(truth)
    fetch.offered("a", len(truth))
    assert 0 in fetch.requests("a", 0.0)
    with pytest.raises(ProtocolError):
        fetch.received("a", 0, bytes(length))
    fetch.removed("a")
    fetch.offered("b", len(truth))
    give(fetch, "b", truth)
    assert fetch.metadata == truth


def test_who_sent_all_of_a_false_copy_is_guilty() -> None:
    truth = truth_of(3 * PIECE_BYTES)
    fetch = fetch_of(truth)
    fetch.offered("liar", len(truth))
    assert give(fetch, "liar", bytes(len(truth))) == ["liar"]
    assert fetch.source_count == 0
    fetch.offered("honest", len(truth))
    assert give(fetch, "honest", truth) == []
    assert fetch.metadata == truth


def test_a_false_copy_of_several_is_fetched_again_from_each_alone() -> None:
    truth = truth_of(6 * PIECE_BYTES)
    fetch = fetch_of(truth)
    for peer in ("liar", "honest"):
        fetch.offered(peer, len(truth))
    lies = [(index, bytes(PIECE_BYTES)) for index in fetch.requests("liar", 0.0)]
    truths = [(index, piece_of(truth, index)) for index in fetch.requests("honest", 0.0)]
    guilty = [fetch.received("liar", *piece) for piece in lies]
    guilty += [fetch.received("honest", *piece) for piece in truths]
    assert not any(guilty)
    assert fetch.metadata is None
    # The liar gives half of a copy again; the honest one gives a whole one of its own.
    for index in fetch.requests("liar", 0.0):
        assert fetch.received("liar", index, bytes(PIECE_BYTES)) == []
    assert give(fetch, "honest", truth) == ["liar"]
    assert fetch.metadata == truth


def test_another_size_does_not_delay_the_true_one() -> None:
    truth = truth_of(2 * PIECE_BYTES)
    fetch = fetch_of(truth)
    for number in range(20):
        fetch.offered(f"liar {number}", MAX_BYTES - number)
        fetch.requests(f"liar {number}", 0.0)
    fetch.offered("honest", len(truth))
    assert give(fetch, "honest", truth) == []
    assert fetch.metadata == truth


def test_few_fill_copies_alone_and_make_place_when_they_stall() -> None:
    truth = truth_of(2 * PIECE_BYTES)
    fetch = fetch_of(truth)
    peers = [f"liar {number}" for number in range(SOLO_AT_ONCE)] + ["honest"]
    for peer in peers:
        fetch.offered(peer, len(truth))
    for index in fetch.requests(peers[0], 0.0)[:1]:
        fetch.received(peers[0], index, bytes(PIECE_BYTES))
    for index in fetch.requests(peers[1], 0.0):
        fetch.received(peers[1], index, bytes(PIECE_BYTES))
    for peer in peers[:-1]:
        assert fetch.requests(peer, 0.0)
    assert fetch.requests("honest", 0.0) == []
    fetch.expire(TIMEOUT_S)
    give(fetch, "honest", truth, TIMEOUT_S)
    assert fetch.metadata == truth


def test_who_fills_a_copy_alone_and_gives_nothing_makes_place_for_who_waits() -> None:
    truth = truth_of(2 * PIECE_BYTES)
    fetch = fetch_of(truth)
    silent = [f"silent {number}" for number in range(5 * SOLO_AT_ONCE)]
    for peer in ("one liar", "another", *silent, "honest"):
        fetch.offered(peer, len(truth))
    for peer in ("one liar", "another"):
        index, *_ = fetch.requests(peer, 0.0)
        fetch.received(peer, index, bytes(PIECE_BYTES))
        fetch.removed(peer)
    slow = silent[0]
    for second in range(int(6 * STALLED_S)):
        fetch.expire(second)
        for peer in silent:
            fetch.requests(peer, second)
        if not second:
            fetch.received(slow, 0, piece_of(truth, 0))
        give(fetch, "honest", truth, second)
    assert fetch.metadata == truth


def test_the_silent_do_not_keep_others_from_being_asked() -> None:
    """However many they are: who was asked for nothing is asked soon."""
    truth = truth_of(8 * PIECE_BYTES)
    fetch = fetch_of(truth)
    silent = [f"silent {number}" for number in range(60)]
    for peer in (*silent, "honest"):
        fetch.offered(peer, len(truth))
    now = 0.0
    while now <= IMPATIENT_S:
        for peer in silent:
            fetch.requests(peer, now)
        give(fetch, "honest", truth, now)
        now += 1.0
    assert fetch.metadata == truth


def test_what_a_crowd_of_liars_sends_is_bounded() -> None:
    fetch = fetch_of(b"x")
    for number in range(40):
        size = MAX_BYTES - number * 3
        fetch.offered(f"{number}", size)
        give_most(fetch, f"{number}", size)
    assert kept_bytes(fetch) <= 2 * MAX_BYTES + PIECE_BYTES
    for number in range(40):
        fetch.removed(f"{number}")
    assert kept_bytes(fetch) <= 2 * MAX_BYTES


def kept_bytes(fetch: MetadataFetch[str]) -> int:
    return sum(copy.kept_bytes for copy in fetch._copies.values())


def give_most(fetch: MetadataFetch[str], peer: str, size: int) -> None:
    """Serve zeros, but for the last piece."""
    while indices := fetch.requests(peer, 0.0):
        for index in indices:
            if (index + 1) * PIECE_BYTES < size:
                fetch.received(peer, index, bytes(PIECE_BYTES))
        if any((index + 1) * PIECE_BYTES >= size for index in indices):
            return


@dataclass
class Actor:
    """A peer of the simulation."""

    name: str
    temper: str
    size: int
    delay_s: int
    asked: deque[tuple[int, int]] = field(default_factory=deque)
    """(when, piece)."""


TEMPERS = ("honest", "honest", "liar", "half liar", "silent", "rejecting", "wrong size", "fickle")


@settings(max_examples=150)
@given(
    size=st.sampled_from([1, PIECE_BYTES, 3 * PIECE_BYTES + 5, 9 * PIECE_BYTES]),
    tempers=st.lists(st.sampled_from(TEMPERS), max_size=9),
    delays=st.lists(st.integers(0, 20), min_size=10, max_size=10),
    seed=st.integers(0, 1000),
)
def test_it_ends_well_with_one_honest_peer(
    size: int, tempers: list[str], delays: list[int], seed: int
) -> None:
    rng = Random(seed)
    truth = truth_of(size)
    fetch = fetch_of(truth)
    actors = {}
    for number, temper in enumerate([*tempers, "honest"]):
        claimed = size + 1 + number % 3 if temper == "wrong size" else size
        delay_s = 1 if number == len(tempers) else delays[number]
        actors[f"{temper} {number}"] = Actor(f"{temper} {number}", temper, claimed, delay_s)
    for actor in rng.sample(list(actors.values()), len(actors)):
        fetch.offered(actor.name, actor.size)
    now = 0
    while fetch.metadata is None:
        assert now < 3000
        for actor in rng.sample(list(actors.values()), len(actors)):
            actor.asked += [(now, index) for index in fetch.requests(actor.name, now)]
            while actor.asked and now - actor.asked[0][0] >= actor.delay_s:
                _, index = actor.asked.popleft()
                for guilty in answer(fetch, actor, index, truth, now, rng):
                    assert not guilty.startswith(("honest", "silent", "rejecting"))
                    actors.pop(guilty, None)  # some are found guilty again when the truth is known
                    fetch.removed(guilty)
                if actor.name not in actors:
                    break
        now += 1
        fetch.expire(now)
    assert fetch.metadata == truth


def answer(
    fetch: MetadataFetch[str], actor: Actor, index: int, truth: bytes, now: float, rng: Random
) -> list[str]:
    match actor.temper:
        case "honest":
            return fetch.received(actor.name, index, piece_of(truth, index))
        case "silent":
            return []
        case "rejecting":
            fetch.rejected(actor.name, index, now)
            return []
        case "fickle" if rng.random() < 0.5:
            fetch.removed(actor.name)
            actor.asked.clear()
            fetch.offered(actor.name, actor.size)
            return []
        case "half liar" | "fickle" if rng.random() < 0.5:
            return fetch.received(actor.name, index, piece_of(truth, index))
        case _:
            length = min(PIECE_BYTES, actor.size - index * PIECE_BYTES)
            return fetch.received(actor.name, index, bytes(length))
