from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.swarm.choker import (
    FIRST_SLOTS,
    MIN_SLOTS,
    OPTIMISTIC_S,
    ROUND_S,
    UNLIMITED_SLOTS,
    Choker,
    Decision,
)


@dataclass(eq=False)
class Peer:
    name: str = ""
    is_interested: bool = True
    is_choked: bool = True
    had: int = 0
    is_seed: bool = False
    is_snubbed: bool = False
    comes_last: bool = False
    owes: bool = False
    hoards: bool = False
    download_rate: float = 0.0
    upload_rate: float = 0.0
    unchoked_at: float | None = None
    connected_at: float = -1000.0


def apply(decision: Decision[Peer], now: float) -> None:
    for peer in decision.unchoke:
        assert peer.is_choked
        peer.is_choked, peer.unchoked_at = False, now
    for peer in decision.choke:
        assert not peer.is_choked
        peer.is_choked = True


def rounds(choker: Choker[Peer], peers: list[Peer], count: int, *, seeding: bool) -> Counter[str]:
    """Run rounds and count in how many each peer was unchoked."""
    counts: Counter[str] = Counter()
    for number in range(count):
        now = number * ROUND_S
        apply(choker.decide(peers, now, seeding=seeding), now)
        counts.update(peer.name for peer in peers if not peer.is_choked)
    return counts


peers_strategy = st.lists(
    st.builds(
        Peer,
        is_interested=st.booleans(),
        is_choked=st.booleans(),
        had=st.integers(0, 100),
        is_seed=st.booleans(),
        is_snubbed=st.booleans(),
        comes_last=st.booleans(),
        owes=st.booleans(),
        hoards=st.booleans(),
        download_rate=st.floats(0, 1e7),
        upload_rate=st.floats(0, 1e5),
        unchoked_at=st.none() | st.floats(0, 100),
        connected_at=st.floats(0, 100),
    ),
    max_size=30,
)


@given(peers_strategy, st.integers(0, 10), st.booleans(), st.integers(0, 99))
def test_only_takers_are_unchoked_and_only_so_many(
    peers: list[Peer], slots: int, seeding: bool, seed: int
) -> None:
    choker: Choker[Peer] = Choker(Random(seed), slots=slots)
    for now in (100.0, 110.0):
        decision = choker.decide(peers, now, seeding=seeding)
        apply(decision, now)
        unchoked = [peer for peer in peers if not peer.is_choked]
        takers = [peer for peer in peers if peer.is_interested and not peer.is_seed]
        assert all(peer in takers for peer in unchoked)
        assert len(unchoked) <= slots
        idle = [peer for peer in takers if peer.is_choked]
        if len(unchoked) < slots:
            assert all(peer.is_snubbed or peer.owes for peer in idle), "a slot is idle"
        if decision.optimistic is not None:
            assert decision.optimistic in unchoked
        for peer in idle:
            assert choker.has_room(peers, peer) == (len(unchoked) < slots and not peer.owes)
        assert seeding or not any(peer.owes for peer in unchoked)
        for peer in peers:
            assert peer in takers or not choker.has_room(peers, peer)


def test_those_who_give_most_are_unchoked() -> None:
    peers = [Peer(str(n), download_rate=1000.0 * n) for n in range(20)]
    counts = rounds(Choker(Random(1), slots=5), peers, 60, seeding=False)
    assert {name for name, count in counts.items() if count == 60} >= {"16", "17", "18", "19"}
    others = [counts[str(n)] for n in range(16)]
    assert sum(others) == 60, "one slot is left for the others"
    assert max(others) < 15, "and it rotates"


def test_the_optimistic_unchoke_lasts_three_rounds() -> None:
    peers = [Peer(str(n), download_rate=1000.0 * n) for n in range(20)]
    choker: Choker[Peer] = Choker(Random(1), slots=5)
    chosen = []
    for number in range(12):
        decision = choker.decide(peers, number * ROUND_S, seeding=False)
        apply(decision, number * ROUND_S)
        assert decision.optimistic is not None
        chosen.append(decision.optimistic.name)
    runs = [chosen[at : at + 3] for at in range(0, 12, 3)]
    assert all(len(set(run)) == 1 for run in runs)
    assert len(set(chosen)) > 1


def test_the_optimistic_unchoke_moves_on_when_its_peer_leaves_or_earns_a_slot() -> None:
    peers = [Peer(str(n), download_rate=1000.0 * n) for n in range(20)]
    choker: Choker[Peer] = Choker(Random(1), slots=5)
    first = choker.decide(peers, 0.0, seeding=False).optimistic
    assert first is not None
    first.download_rate = 1e6
    second = choker.decide(peers, 1.0, seeding=False).optimistic
    assert second not in (None, first)
    rest = [peer for peer in peers if peer is not second]
    third = choker.decide(rest, 2.0, seeding=False).optimistic
    assert third in rest


def test_new_peers_are_three_times_as_likely_to_be_tried() -> None:
    tried: Counter[str] = Counter()
    for seed in range(2000):
        givers = [Peer("giver", download_rate=1e6) for _ in range(4)]
        old, new = Peer("old", connected_at=0.0), Peer("new", connected_at=995.0)
        decision = Choker[Peer](Random(seed), slots=5).decide(
            [*givers, old, new], 1000.0, seeding=False
        )
        assert decision.optimistic is not None
        tried[decision.optimistic.name] += 1
    assert 2.5 < tried["new"] / tried["old"] < 3.5


def test_who_is_behind_is_tried_by_several_and_not_by_all() -> None:
    tried = 0
    for seed in range(400):
        peers = [Peer(name, had=50) for name in map(str, range(30))] + [Peer("behind", had=20)]
        optimistic = Choker[Peer](Random(seed)).decide(peers, 0.0, seeding=False).optimistic
        assert optimistic is not None
        tried += optimistic.name == "behind"
    assert 2 * 400 / 31 < tried < 400 / 4


def test_a_snubber_gets_no_slot_but_the_optimistic_one() -> None:
    snubber = Peer("snubber", download_rate=1e6, is_snubbed=True)
    peers = [snubber, *(Peer(str(n), download_rate=10.0 + n) for n in range(10))]
    counts = rounds(Choker(Random(3), slots=4), peers, 90, seeding=False)
    assert counts["snubber"] < 30


def test_when_nobody_gives_everybody_has_a_turn() -> None:
    peers = [Peer(str(n)) for n in range(20)]
    counts = rounds(Choker(Random(1), slots=5), peers, 60, seeding=False)
    assert min(counts[peer.name] for peer in peers) >= 9


def test_a_seed_serves_everybody_in_turn_and_the_fastest_longer() -> None:
    peers = [Peer(str(n)) for n in range(20)]
    choker: Choker[Peer] = Choker(Random(1), slots=4)
    counts: Counter[str] = Counter()
    for number in range(120):
        now = number * ROUND_S
        apply(choker.decide(peers, now, seeding=True), now)
        for peer in peers:
            peer.upload_rate = 0.0 if peer.is_choked else 1000.0 * int(peer.name)
            counts[peer.name] += not peer.is_choked
    assert sum(counts.values()) == 4 * 120
    assert min(counts[peer.name] for peer in peers) >= 6
    assert counts["19"] > 60
    assert counts["18"] > 60


@pytest.mark.parametrize("seeding", [True, False])
def test_who_let_a_turn_go_by_is_unchoked_only_where_nobody_else_waits(seeding: bool) -> None:
    wasters = [Peer(f"waster {n}", comes_last=True, upload_rate=9e9) for n in range(6)]
    peers = [*wasters, *(Peer(str(n)) for n in range(8))]
    for peer in wasters:
        peer.is_choked, peer.unchoked_at = False, 0.0
    counts = rounds(Choker(Random(1), slots=4), peers, 12, seeding=seeding)
    assert not any(peer.name in counts for peer in wasters), "and its turn ends at once"
    counts = rounds(Choker(Random(1), slots=10), peers, 12, seeding=seeding)
    assert all(counts[str(n)] == 12 for n in range(8))
    assert sum(counts[peer.name] for peer in wasters) == 2 * 12


def test_who_owes_gets_nothing_while_we_download_and_then_sits_out_a_turn() -> None:
    debtors = [Peer(f"debtor {n}", owes=True, is_choked=False, unchoked_at=0.0) for n in range(3)]
    peers = [*debtors, *(Peer(str(n)) for n in range(4))]
    choker: Choker[Peer] = Choker(Random(1), slots=6)
    for now in (0.0, 10.0, 20.0):
        apply(choker.decide(peers, now, seeding=False), now)
        assert [peer.name for peer in peers if not peer.is_choked] == ["0", "1", "2", "3"]
    for now in (30.0, 31.0, 45.0, 59.0):
        apply(choker.decide(peers, now, seeding=True), now)
        assert all(peer.is_choked for peer in debtors), "its turn to wait"
    for now in (60.0, 70.0):
        apply(choker.decide(peers, now, seeding=True), now)
        assert sum(not peer.is_choked for peer in debtors) == 2, "what others leave"
    apply(choker.decide(peers, 80.0, seeding=False), 80.0)
    assert all(peer.is_choked for peer in debtors)
    debtors[0].owes = False
    apply(choker.decide(peers, 81.0, seeding=False), 81.0)
    assert not debtors[0].is_choked, "a debt is paid at any time"


def test_who_hoards_what_we_seed_is_unchoked_only_where_nobody_else_waits() -> None:
    hoarders = [Peer(f"hoarder {n}", hoards=True, upload_rate=9e9) for n in range(6)]
    peers = [*hoarders, *(Peer(str(n)) for n in range(8))]
    counts = rounds(Choker(Random(1), slots=4), peers, 12, seeding=True)
    assert not any(peer.name in counts for peer in hoarders)
    counts = rounds(Choker(Random(1), slots=10), peers, 12, seeding=True)
    assert all(counts[str(n)] == 12 for n in range(8))
    assert sum(counts[peer.name] for peer in hoarders) == 2 * 12


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10**9))
def test_who_has_few_pieces_gives_them_to_few_at_a_time(a: int, b: int, limit: int) -> None:
    choker: Choker[Peer] = Choker(Random(1))
    few, many = (choker.slots([], upload_limit=limit, had=had) for had in sorted((a, b)))
    assert FIRST_SLOTS <= few <= many <= choker.slots([], upload_limit=limit)
    assert choker.slots([], had=0) == FIRST_SLOTS
    assert choker.slots([], had=100) == UNLIMITED_SLOTS
    assert Choker[Peer](Random(1), slots=7).slots([], had=0) == 7, "what a user says"


def test_a_turn_is_not_cut_short() -> None:
    peers = [Peer(str(n)) for n in range(9)]
    choker: Choker[Peer] = Choker(Random(1), slots=3)
    began: dict[str, float] = {}
    for number in range(60):
        now = number * ROUND_S
        decision = choker.decide(peers, now, seeding=True)
        for peer in decision.choke:
            assert now - began[peer.name] >= OPTIMISTIC_S
        apply(decision, now)
        began.update({peer.name: now for peer in decision.unchoke})


@pytest.mark.parametrize(
    ("limit", "least", "most"),
    [(1000, MIN_SLOTS, MIN_SLOTS), (625_000, 6, 12), (1_250_000, 8, 16), (100_000_000, 50, 200)],
)
def test_slots_grow_with_the_upload_limit(limit: int, least: int, most: int) -> None:
    choker: Choker[Peer] = Choker(Random(1))
    assert least <= choker.slots([], upload_limit=limit) <= most
    assert Choker[Peer](Random(1), slots=2).slots([], upload_limit=limit) == 2


def test_without_a_limit_slots_grow_with_the_rate() -> None:
    choker: Choker[Peer] = Choker(Random(1))
    assert choker.slots([]) == UNLIMITED_SLOTS
    assert choker.slots([Peer(upload_rate=5e7), Peer(upload_rate=5e7)]) > 100
