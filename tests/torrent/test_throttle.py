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
            quota = self._throttle.quota(self)
            if quota <= 0:
                self._throttle.wait(self, self.go)
                return
            amount = min(quota, 16 * KIB)
            self._throttle.take(amount, self)
            self._taken[self.name] += amount
        self.done.set()


def throttle(shared: SharedLimit, rate: int = 0) -> Throttle:
    loop = asyncio.get_running_loop()
    return Throttle(loop, TokenBucket(rate, loop.time()), shared)


async def test_without_limits_all_may_pass() -> None:
    shared = SharedLimit(asyncio.get_running_loop(), 0)
    assert throttle(shared).quota("anybody") == UNLIMITED


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
    async with asyncio.timeout(20):
        await takers[-1].done.wait()
    assert loop.time() - began > total / (2048 * KIB) * 0.6
    share = total / len(takers)
    assert share * 0.5 < taken["one"] < share * 2
    assert share * 0.5 < taken["other"] < share * 2
    for one in torrents.values():
        one.close()
    assert not shared.is_crowded


async def test_a_torrents_own_limit_does_not_hold_up_the_others() -> None:
    loop = asyncio.get_running_loop()
    shared = SharedLimit(loop, 4096 * KIB)
    slow, quick = throttle(shared, 32 * KIB), throttle(shared)
    taken: Counter[str] = Counter()
    total = 1024 * KIB
    takers = [Taker("slow", slow, taken, total), Taker("quick", quick, taken, total)]
    for taker in takers:
        taker.go()
    async with asyncio.timeout(20):
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
    one.take(1024 * KIB, taker)
    taker.go()
    assert not taken
    shared.set_rate(0)
    assert taken["one"] == 64 * KIB
    assert not shared.is_crowded


async def test_waiting_twice_is_waiting_once_and_closing_forgets() -> None:
    shared = SharedLimit(asyncio.get_running_loop(), 16)
    one, two = throttle(shared), throttle(shared)
    for _ in range(5):
        one.wait("one", print)
    two.wait("two", print)
    assert (one.waiting, two.waiting) == (1, 1)
    one.close()
    assert shared.is_crowded
    two.close()
    assert not shared.is_crowded


class Reader:
    """Reads in a later turn of the loop than that in which it is woken, as every socket is."""

    def __init__(self, throttle: Throttle, supply: int) -> None:
        self._throttle = throttle
        self._loop = asyncio.get_running_loop()
        self.supply = supply
        """What lies in its socket."""
        self.taken = 0
        self.done = asyncio.Event()

    def resume(self) -> None:
        self._loop.call_soon(self.read)

    def read(self) -> None:
        if not self.supply:
            self.done.set()
            return
        quota = self._throttle.quota(self)
        if quota <= 0:
            self._throttle.wait(self, self.resume)
            return
        amount = min(quota, self.supply)
        self._throttle.take(amount, self)
        self.taken += amount
        self.supply -= amount
        self.resume()


@pytest.mark.parametrize("rate", [10 * KIB, 2048 * KIB])
async def test_messages_wait_for_no_stream_of_blocks(rate: int) -> None:
    """Two that always have more to read, and ten others with a message or two."""
    loop = asyncio.get_running_loop()
    shared = SharedLimit(loop, rate)
    one, other = throttle(shared), throttle(shared)
    streams = [Reader(one, 1 << 30), Reader(other, 1 << 30)]
    for stream in streams:
        stream.read()
    began = loop.time()
    while shared.bucket.available(loop.time()) > 0:
        await asyncio.sleep(0)  # until the burst is over
    talkers = [Reader(one, 100) for _ in range(10)]
    for talker in talkers:
        talker.resume()
    async with asyncio.timeout(20):
        for talker in talkers:
            await talker.done.wait()
    elapsed = loop.time() - began
    assert elapsed < 2, "with shares of a block it was more than three seconds"
    taken = sum(reader.taken for reader in (*streams, *talkers))
    assert taken < rate * (elapsed + 0.25) + 3 * 64 * KIB
    shares = [stream.taken for stream in streams]
    assert max(shares) - min(shares) <= rate // 4 + 64 * KIB
    one.close()
    other.close()


async def test_two_streams_reach_the_limit_together() -> None:
    loop = asyncio.get_running_loop()
    rate = 16 * 1024 * KIB
    shared = SharedLimit(loop, rate)
    one = throttle(shared)
    readers = [Reader(one, rate // 4) for _ in range(2)]
    began = loop.time()
    for reader in readers:
        reader.read()
    async with asyncio.timeout(20):
        for reader in readers:
            await reader.done.wait()
    assert 0.2 < loop.time() - began < 1, "half a second's worth, less the burst"
    one.close()


async def test_a_share_that_nobody_takes_goes_to_the_next() -> None:
    loop = asyncio.get_running_loop()
    shared = SharedLimit(loop, 200 * KIB)
    one = throttle(shared)
    one.take(51 * KIB, "somebody")
    one.wait("gone", lambda: None)
    reader = Reader(one, 4 * KIB)
    reader.read()
    async with asyncio.timeout(2):
        await reader.done.wait()
    assert reader.taken == 4 * KIB
    one.close()
