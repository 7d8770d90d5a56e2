"""Who takes its turn and who lets it go by; with the choker, so that no turn is lost for long."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.swarm.choker import ROUND_S, Choker
from engine.swarm.uptake import PATIENCE_S, Uptake, WastedTurns

BLOCK = 16384


def _watched(*seconds: tuple[int, bool, int, bool]) -> Uptake:
    """What `look` was told in each second: sent, is_pending, served, has_asked."""
    uptake = Uptake(0.0)
    for now, (sent, is_pending, served, has_asked) in enumerate(seconds, 1):
        uptake.look(now, sent=sent, is_pending=is_pending, served=served, has_asked=has_asked)
    return uptake


def test_who_takes_block_after_block_wastes_nothing() -> None:
    uptake = _watched(*((n * BLOCK, True, n * BLOCK, True) for n in range(40)))
    assert uptake.stalled_s == 0
    assert not uptake.is_wasted(40, 0.0)


def test_a_closed_window_wastes_the_turn() -> None:
    """It is no use to let a byte pass now and then."""
    uptake = _watched(*((50_000 + n, True, 300_000, True) for n in range(30)))
    assert uptake.stalled_s == 29
    assert uptake.is_wasted(30, 0.0)
    assert not uptake.is_wasted(30, 25.0), "it may show first that things have changed"
    uptake.look(31.0, sent=50_000 + 2 * BLOCK, is_pending=True, served=300_000, has_asked=True)
    assert not uptake.is_wasted(31, 0.0)


def test_who_waits_for_our_limit_or_our_disk_wastes_nothing() -> None:
    uptake = _watched(*((100, False, 0, True) for _ in range(30)))
    assert uptake.stalled_s == 0
    assert not uptake.is_wasted(30, 0.0)


def test_who_is_unchoked_and_asks_nothing_wastes_the_turn() -> None:
    uptake = _watched(*((100, False, 0, False) for _ in range(30)))
    assert uptake.stalled_s == 0, "there is nothing that it could take"
    assert not uptake.is_wasted(30, 30 - PATIENCE_S / 2)
    assert uptake.is_wasted(30, 30 - PATIENCE_S)


def test_a_host_pays_longer_each_time() -> None:
    wasted, now, lasted = WastedTurns(), 0.0, []
    for _ in range(10):
        wasted.add("host", now)
        wasted.add("host", now)  # from another port
        began = now
        while wasted.comes_last("host", now):
            now += 10
        lasted.append(now - began)
    assert lasted[:3] == [300, 600, 1200]
    assert max(lasted) == 80 * 60
    assert not wasted.comes_last("another", now)
    now += 7300
    wasted.add("host", now)
    assert wasted.comes_last("host", now + 290)
    assert not wasted.comes_last("host", now + 301), "after two hours it begins anew"


@given(st.lists(st.integers(0, 5000), max_size=5000))
def test_memory_of_hosts_is_bounded(hosts: list[int]) -> None:
    wasted = WastedTurns()
    for now, host in enumerate(hosts):
        wasted.add(host, now)
        assert wasted.comes_last(host, now)
    assert len(wasted) <= 2000


@dataclass(eq=False)
class Peer:
    """Asks as soon as it may; `takes` what it is sent, or never does."""

    takes: bool
    uptake: Uptake
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
    connected_at: float = 0.0
    sent: int = 0


def _rounds_of_the_honest(count: int, *, seeding: bool) -> tuple[list[int], int]:
    """Ten minutes with 60 who never take and six who do: how many rounds each of these had."""
    peers = [Peer(n >= 60, Uptake(0.0)) for n in range(66)]
    Random(1).shuffle(peers)
    choker: Choker[Peer] = Choker(Random(2), slots=count)
    wasted, rounds = WastedTurns(), dict.fromkeys(map(id, peers), 0)
    for number in range(60):
        now = number * ROUND_S
        for peer in peers:
            if not peer.is_choked and peer.uptake.is_wasted(now, peer.unchoked_at):
                wasted.add(id(peer), now)
            peer.comes_last = wasted.comes_last(id(peer), now)
        decision = choker.decide(peers, now, seeding=seeding)
        for peer in decision.choke:
            peer.is_choked, peer.upload_rate = True, 0.0
        for peer in decision.unchoke:
            peer.is_choked, peer.unchoked_at = False, now
        for second in range(10):
            for peer in peers:
                if not peer.is_choked:
                    peer.sent += peer.takes * BLOCK
                    peer.upload_rate = BLOCK
                    rounds[id(peer)] += second == 0
                is_pending = not peer.is_choked or (not peer.takes and peer.unchoked_at is not None)
                peer.uptake.look(
                    now + second + 0.5,
                    sent=peer.sent,
                    is_pending=is_pending,
                    served=peer.sent + 1,
                    has_asked=not peer.is_choked,
                )
    return [rounds[id(peer)] for peer in peers if peer.takes], sum(rounds.values())


@pytest.mark.parametrize("seeding", [True, False])
def test_many_who_never_take_do_not_starve_those_who_do(seeding: bool) -> None:
    honest, given_away = _rounds_of_the_honest(4, seeding=seeding)
    assert given_away == 4 * 60, "no slot is idle"
    assert min(honest) >= 3
    assert sum(honest) > given_away * 0.45, "without memory they would have a tenth"
