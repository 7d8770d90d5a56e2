"""The throttle on a real loop: limits are kept to, and the waiting are served in turn."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from engine.core.rates import TokenBucket
from engine.torrent.throttle import UNLIMITED, SharedLimit, Throttle

KIB = 1024


class Taker:
    """Takes what it gets as long as there is something left to take, as a connection does."""

    def __init__(self, name: str, throttle: Throttle, taken: Counter[str], total: int) -> None:
        self.name = name
        self._throttle = throttle
        self._taken = taken
        self._total = total
        self.done = asyncio.Event()

    def go(self) -> None:
        while self._taken.total() < self._total:
            quota = self._throttle.quota()
            if quota <= 0:
                self._throttle.wait(self.go)
                return
            amount = min(quota, 16 * KIB)
            self._throttle.take(amount)
            self._taken[self.name] += amount
        self.done.set()


def throttle(shared: SharedLimit, rate: int = 0) -> Throttle:
    loop = asyncio.get_running_loop()
    return Throttle(loop, TokenBucket(rate, loop.time()), shared)


async def test_without_limits_all_may_pass() -> None:
    shared = SharedLimit(asyncio.get_running_loop(), 0)
    assert throttle(shared).quota() == UNLIMITED


@pytest.mark.parametrize("greedy", [1, 12])
async def test_one_connection_gets_its_turn_beside_many(greedy: int) -> None:
    """Three torrents under one limit, of which one has many connections: none is starved."""
    loop = asyncio.get_running_loop()
    shared = SharedLimit(loop, 2048 * KIB)
    taken: Counter[str] = Counter()
    total = 1536 * KIB
    torrents = {name: throttle(shared) for name in ("many", "one", "other")}
    takers = [Taker("many", torrents["many"], taken, total) for _ in range(greedy)]
    takers += [Taker(name, torrents[name], taken, total) for name in ("one", "other")]
    began = loop.time()
    for taker in takers:
        taker.go()
    async with asyncio.timeout(10):
        await takers[-1].done.wait()
    assert loop.time() - began > total / (2048 * KIB) * 0.6
    share = total / len(takers)
    assert share * 0.5 < taken["one"] < share * 2
    assert share * 0.5 < taken["other"] < share * 2
    for one in torrents.values():
        one.close()
    assert not shared.has_waiting


async def test_a_torrents_own_limit_does_not_hold_up_the_others() -> None:
    loop = asyncio.get_running_loop()
    shared = SharedLimit(loop, 4096 * KIB)
    slow, quick = throttle(shared, 32 * KIB), throttle(shared)
    taken: Counter[str] = Counter()
    total = 1024 * KIB
    takers = [Taker("slow", slow, taken, total), Taker("quick", quick, taken, total)]
    for taker in takers:
        taker.go()
    async with asyncio.timeout(10):
        await takers[1].done.wait()
    assert taken["slow"] <= 64 * KIB
    assert taken["quick"] >= 900 * KIB
    slow.close()
    quick.close()


async def test_a_lifted_limit_lets_the_waiting_pass_at_once() -> None:
    shared = SharedLimit(asyncio.get_running_loop(), 1)
    one = throttle(shared)
    taken: Counter[str] = Counter()
    taker = Taker("one", one, taken, 64 * KIB)
    one.take(1024 * KIB)
    taker.go()
    assert not taken
    shared.set_rate(0)
    assert taken["one"] == 64 * KIB
    assert not shared.has_waiting


async def test_waiting_twice_is_waiting_once_and_closing_forgets() -> None:
    shared = SharedLimit(asyncio.get_running_loop(), 16)
    one, two = throttle(shared), throttle(shared)
    for _ in range(5):
        one.wait(print)
    two.wait(repr)  # type: ignore[arg-type]
    assert (one.waiting, two.waiting) == (1, 1)
    one.close()
    assert shared.has_waiting
    two.close()
    assert not shared.has_waiting
