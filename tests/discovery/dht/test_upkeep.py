from __future__ import annotations

from engine.discovery.dht.upkeep import (
    EXPIRE_S,
    INTERVAL_S,
    MAX_RETRY_S,
    MAX_SELF_LOOKUP_S,
    REFRESH_S,
    SPARSE_INTERVAL_S,
    Upkeep,
)


def test_rounds() -> None:
    upkeep = Upkeep(100.0)
    assert upkeep.next_at == 100.0
    upkeep.done(100.0, is_urgent=False)
    assert upkeep.next_at == 100.0 + INTERVAL_S
    upkeep.hurry(101.0)
    assert upkeep.next_at == 101.0 + SPARSE_INTERVAL_S
    upkeep.hurry(102.0)
    assert upkeep.next_at == 101.0 + SPARSE_INTERVAL_S
    upkeep.done(102.0, is_urgent=True)
    assert upkeep.next_at == 102.0 + SPARSE_INTERVAL_S


def test_intervals_are_due_once() -> None:
    upkeep = Upkeep(0.0)
    assert not upkeep.is_refresh_due(REFRESH_S - 1)
    assert upkeep.is_refresh_due(REFRESH_S)
    assert not upkeep.is_refresh_due(REFRESH_S + 1)
    assert not upkeep.is_expiry_due(EXPIRE_S - 1)
    assert upkeep.is_expiry_due(EXPIRE_S + 5)
    assert not upkeep.is_expiry_due(2 * EXPIRE_S)


def _waits(upkeep: Upkeep, now: float, count: int) -> list[float]:
    waits = []
    for _ in range(count):
        upkeep.joining(now)
        wait = 0.0
        while not upkeep.is_join_due(now + wait):
            wait += 1.0
        waits.append(wait)
        now += wait
    return waits


def test_tries_to_join_grow_rarer() -> None:
    upkeep = Upkeep(0.0)
    assert upkeep.is_join_due(0.0)
    waits = _waits(upkeep, 0.0, 12)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (5.0, MAX_RETRY_S)
    upkeep.joining(9e9, is_fresh_start=True)
    assert upkeep.is_join_due(9e9 + 5.0)


def test_neighbours_are_looked_for_again_and_again() -> None:
    upkeep = Upkeep(0.0)
    upkeep.joining(0.0)
    assert upkeep.joined(1.0)
    assert not upkeep.joined(1.1)
    assert not upkeep.is_join_due(30.0)
    assert upkeep.is_join_due(31.0)
    waits = _waits(upkeep, 31.0, 8)
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (60.0, MAX_SELF_LOOKUP_S)


def test_who_lost_all_neighbours_joins_again_soon() -> None:
    upkeep = Upkeep(0.0)
    upkeep.joining(0.0)
    upkeep.nobody_answered(6.0)
    upkeep.joined(10.0)
    _waits(upkeep, 10.0, 8)
    upkeep.nobody_answered(5000.0)
    assert not upkeep.is_joined
    assert upkeep.is_join_due(5005.0)
