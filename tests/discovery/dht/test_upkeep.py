from __future__ import annotations

from engine.discovery.dht.upkeep import (
    EXPIRE_S,
    INTERVAL_S,
    MAX_RETRY_S,
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


def test_tries_to_join_grow_rarer_until_one_succeeds() -> None:
    upkeep = Upkeep(0.0)
    now, waits = 0.0, []
    for _ in range(12):
        assert upkeep.is_join_due(now)
        upkeep.joining(now)
        wait = 0.0
        while not upkeep.is_join_due(now + wait):
            wait += 1.0
        waits.append(wait)
        now += wait
    assert waits == sorted(waits)
    assert waits[0] == 5.0
    assert waits[-1] == MAX_RETRY_S
    assert not upkeep.is_joined
    upkeep.joined()
    upkeep.joining(now)
    assert upkeep.is_joined
    assert upkeep.is_join_due(now + 5.0)
