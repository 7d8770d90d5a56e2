"""Two ways to a peer: one gets a head start, one connection comes out, the other is closed."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from engine.core.compact import Endpoint
from engine.errors import PeerError
from engine.net import dial_race
from engine.net.connection import Connection, Transport
from engine.net.dial_race import SECOND_TIMEOUT_S, DialRace

PEER = Endpoint("198.18.0.1", 6881)


class _Connection:
    def __init__(self, transport: Transport) -> None:
        self.transport = transport
        self.is_closed = False

    def close(self, error: Exception | None = None) -> None:
        self.is_closed = True


class Way:
    """One way to dial, that ends when the test says so."""

    def __init__(self, transport: Transport) -> None:
        self.connection = _Connection(transport)
        self.asked: asyncio.Queue[float] = asyncio.Queue()
        self.answers: asyncio.Queue[PeerError | None] = asyncio.Queue()
        self.is_called_off = False

    async def dial(self, _: Endpoint, timeout_s: float) -> Connection:
        self.asked.put_nowait(timeout_s)
        try:
            answer = await self.answers.get()
        except asyncio.CancelledError:
            self.is_called_off = True
            raise
        if answer is not None:
            raise answer
        return cast(Connection, self.connection)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> tuple[Way, Way]:
    monkeypatch.setattr(dial_race, "HEAD_START_S", 0.0)
    return Way(Transport.TCP), Way(Transport.UTP)


def _race(ways: tuple[Way, Way]) -> DialRace:
    return DialRace({Transport.TCP: ways[0].dial, Transport.UTP: ways[1].dial})


async def test_the_first_to_connect_wins_and_the_other_is_called_off(
    ways: tuple[Way, Way],
) -> None:
    tcp, utp = ways
    race = asyncio.ensure_future(_race(ways).dial(PEER, 10))
    await tcp.asked.get()
    await utp.asked.get()
    utp.answers.put_nowait(None)
    assert await race is utp.connection
    assert tcp.is_called_off
    assert not utp.connection.is_closed


async def test_of_two_that_connect_at_once_one_is_closed(ways: tuple[Way, Way]) -> None:
    race = asyncio.ensure_future(_race(ways).dial(PEER, 10))
    for way in ways:
        await way.asked.get()
    for way in ways:
        way.answers.put_nowait(None)
    won = await race
    assert [way.connection.is_closed for way in ways] == [way.connection is not won for way in ways]
    assert sum(way.connection.is_closed for way in ways) == 1


async def test_within_the_head_start_nothing_else_is_tried(
    ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial_race, "HEAD_START_S", 60.0)
    ways[0].answers.put_nowait(None)
    assert await _race(ways).dial(PEER, 10) is ways[0].connection
    assert ways[1].asked.empty()


async def test_a_failure_hands_over_at_once_and_for_a_shorter_time(
    ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial_race, "HEAD_START_S", 60.0)
    ways[0].answers.put_nowait(PeerError("refused"))
    ways[1].answers.put_nowait(None)
    assert await _race(ways).dial(PEER, 10) is ways[1].connection
    assert await ways[1].asked.get() == SECOND_TIMEOUT_S


async def test_the_first_way_says_why_there_is_no_connection(ways: tuple[Way, Way]) -> None:
    ways[0].answers.put_nowait(PeerError("refused"))
    ways[1].answers.put_nowait(PeerError("silence"))
    with pytest.raises(PeerError, match="refused"):
        await _race(ways).dial(PEER, 10)


async def test_what_worked_before_is_tried_first(
    ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    race = _race(ways)
    ways[0].answers.put_nowait(PeerError("refused"))
    ways[1].answers.put_nowait(None)
    await race.dial(PEER, 10)
    monkeypatch.setattr(dial_race, "HEAD_START_S", 60.0)
    while not ways[0].asked.empty():
        ways[0].asked.get_nowait()
    ways[1].answers.put_nowait(None)
    assert await race.dial(PEER, 10) is ways[1].connection
    assert ways[0].asked.empty()


async def test_what_led_to_nothing_is_tried_last(
    ways: tuple[Way, Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial_race, "HEAD_START_S", 60.0)
    race = _race(ways)
    ways[0].answers.put_nowait(None)
    assert await race.dial(PEER, 10) is ways[0].connection
    race.is_useless(PEER, Transport.TCP)
    ways[1].answers.put_nowait(None)
    assert await race.dial(PEER, 10) is ways[1].connection


async def test_a_cancelled_race_calls_off_both(ways: tuple[Way, Way]) -> None:
    race = asyncio.ensure_future(_race(ways).dial(PEER, 10))
    for way in ways:
        await way.asked.get()
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race
    assert all(way.is_called_off for way in ways)


async def test_without_a_way_there_is_no_connection() -> None:
    with pytest.raises(PeerError, match="no way there"):
        await DialRace({}).dial(PEER, 10)
