from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.bitfield import Bitfield
from engine.swarm.spreading import HOARD, Spreading


def _given(pieces: int, *, to: str = "first") -> Spreading[str]:
    spreading: Spreading[str] = Spreading(100)
    for index in range(pieces):
        spreading.sent(to, index)
        spreading.gained(to, index)
    return spreading


def test_who_keeps_several_pieces_to_itself_hoards() -> None:
    assert not _given(HOARD - 1).hoards("first")
    assert _given(HOARD).hoards("first")
    assert not _given(HOARD).hoards("second")


def test_a_piece_that_shows_up_elsewhere_was_passed_on() -> None:
    spreading = _given(HOARD)
    spreading.gained("second", 0)
    assert not spreading.hoards("first")
    spreading = _given(HOARD)
    pieces = Bitfield(100)
    pieces.add(1)
    spreading.came_with("second", pieces)
    assert not spreading.hoards("first")


def test_what_we_send_to_others_ourselves_is_nobodys_merit() -> None:
    spreading = _given(HOARD)
    for index in range(HOARD):
        spreading.sent("second", index)
        spreading.gained("second", index)
    assert spreading.hoards("first")
    assert spreading.hoards("second")


def test_a_piece_that_had_spread_before_says_nothing() -> None:
    spreading: Spreading[str] = Spreading(100)
    spreading.came_with("old", Bitfield.full(100))
    for index in range(100):
        spreading.sent("new", index)
        spreading.gained("new", index)
    assert not spreading.hoards("new")


def test_who_comes_with_very_many_pieces_is_no_walk_over_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A million and a half, one by one, stopped the loop for a second."""
    spreading = _given(HOARD)
    walks: list[Bitfield] = []
    walk = Bitfield.__iter__
    monkeypatch.setattr(Bitfield, "__iter__", lambda field: (walks.append(field), walk(field))[1])
    spreading.came_with("second", Bitfield.full(100))
    assert not spreading.hoards("first")
    assert not walks


def test_who_is_gone_is_forgotten() -> None:
    spreading = _given(HOARD)
    spreading.removed("first")
    assert not spreading.hoards("first")


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_who_passes_everything_on_never_hoards_long_and_riders_do(seed: int, riders: int) -> None:
    """Givers exchange what they have; riders only take. Whatever the order, in the end no giver
    hoards, and each rider that was sent enough alone does."""
    rng = Random(seed)
    givers = [f"giver {n}" for n in range(rng.randint(2, 6))]
    takers = givers + [f"rider {n}" for n in range(riders)]
    spreading: Spreading[str] = Spreading(60)
    alone = dict.fromkeys(takers, 0)
    for index in range(60):
        taker = rng.choice(takers)
        spreading.sent(taker, index)
        spreading.gained(taker, index)
        if taker in givers:
            others = [peer for peer in takers if peer != taker]
            for other in rng.sample(others, rng.randint(1, len(others))):
                spreading.gained(other, index)
        else:
            alone[taker] += 1
    for peer in takers:
        assert spreading.hoards(peer) == (alone[peer] >= HOARD)
