"""One timer for all uTP streams: each is asked when it named a time, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import cast

import pytest

from engine.net.utp_stream import UtpStream
from engine.net.utp_timers import UtpTimers


class Stream:
    """What the timers see of one: it is its own machine."""

    def __init__(self, due: float | None) -> None:
        self.timer_at = float("inf")
        self.due = due
        self.machine = self
        self.acted: list[float] = []

    def next_timer(self) -> float | None:
        return self.due


class Port:
    """Streams that are done with what was due once they acted."""

    def __init__(self) -> None:
        self.timers = UtpTimers(asyncio.get_running_loop(), self._act)

    def mind(self, stream: Stream) -> None:
        self.timers.mind(cast("UtpStream", stream))

    def forget(self, stream: Stream) -> None:
        self.timers.forget(cast("UtpStream", stream))

    def _act(self, told: UtpStream, now: float) -> None:
        stream = cast("Stream", told)
        stream.acted.append(now)
        stream.due = None
        self.mind(stream)


_FAR = 1e9
"""Of the clock that the loop's timer is set by: it does not ring while a test runs."""


@pytest.fixture
async def port() -> Iterator[Port]:
    made = Port()
    yield made
    made.timers.close()


async def test_who_is_due_acts_once(port: Port) -> None:
    soon, later = Stream(_FAR + 1), Stream(_FAR + 2)
    for stream in later, soon:
        port.mind(stream)
    port.timers.run(_FAR)
    assert (soon.acted, later.acted) == ([], [])
    port.timers.run(_FAR + 1)
    port.timers.run(_FAR + 1)
    assert (soon.acted, later.acted) == ([_FAR + 1], [])
    port.timers.run(_FAR + 3)
    assert (soon.acted, later.acted) == ([_FAR + 1], [_FAR + 3])


async def test_who_puts_off_is_asked_again(port: Port) -> None:
    stream = Stream(_FAR + 1)
    port.mind(stream)
    stream.due = _FAR + 5
    port.mind(stream)
    port.timers.run(_FAR + 2)
    assert not stream.acted
    port.timers.run(_FAR + 5)
    assert stream.acted == [_FAR + 5]


async def test_who_is_in_more_of_a_hurry_acts_at_the_earlier_time_only(port: Port) -> None:
    stream = Stream(_FAR + 5)
    port.mind(stream)
    stream.due = _FAR + 1
    port.mind(stream)
    port.timers.run(_FAR + 1)
    port.timers.run(_FAR + 9)
    assert stream.acted == [_FAR + 1]


async def test_who_is_forgotten_never_acts(port: Port) -> None:
    stream = Stream(_FAR + 1)
    port.mind(stream)
    port.forget(stream)
    port.forget(stream)
    port.timers.run(_FAR + 9)
    assert not stream.acted


async def test_memory_is_of_those_that_are_there(port: Port) -> None:
    for _ in range(10_000):
        stream = Stream(_FAR + 1)
        port.mind(stream)
        port.forget(stream)
    stays = Stream(_FAR + 1)
    for n in range(10_000):
        stays.due = _FAR + 1 - n
        port.mind(stays)
    assert len(port.timers._heap) < 200
    port.timers.run(_FAR + 2)
    assert stays.acted == [_FAR + 2]


async def test_the_loop_rings_when_the_first_is_due() -> None:
    acted = asyncio.Event()
    port = UtpTimers(asyncio.get_running_loop(), lambda stream, now: acted.set())
    port.mind(cast("UtpStream", Stream(0.0)))
    async with asyncio.timeout(20):
        await acted.wait()
    port.close()
