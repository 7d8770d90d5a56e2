"""Announcing for many torrents: bounded for each host, the urgent first, the dead delay nobody."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.core.identifiers import InfoHash, PeerId
from engine.core.metainfo import Metainfo
from engine.discovery.announce import (
    AnnounceEvent,
    AnnounceReply,
    AnnounceRequest,
)
from engine.errors import TrackerUnreachable
from engine.session.announcing import IN_ALL, PER_HOST, Announcing
from engine.torrent.announcer import Announcer
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.summary import Summary
from tests.storage.torrents import sample

GOOD, SLOW, DEAD = "http://good.test/announce", "http://slow.test/announce", "http://dead.test/a"
_SAMPLE = Summary.of(Metainfo(sample(100_000, 16384).info))


@dataclass
class Trackers:
    """Stands where the tracker clients are: answers by host, and counts."""

    dead: set[str] = field(default_factory=lambda: {DEAD})
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    heard: list[tuple[str, bytes, AnnounceEvent]] = field(default_factory=list)
    running: dict[str, int] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)
    most_in_all: int = 0
    interval_s: float = 1800.0

    async def announce(self, url: str, request: AnnounceRequest) -> AnnounceReply:
        self.heard.append((url, bytes(request.info_hash), request.event))
        self.running[url] = self.running.get(url, 0) + 1
        self.most[url] = max(self.most.get(url, 0), self.running[url])
        self.most_in_all = max(self.most_in_all, sum(self.running.values()))
        try:
            await asyncio.sleep(0)
            if url in self.held:
                await self.held[url].wait()
            if url in self.dead:
                raise TrackerUnreachable("no route")
            return AnnounceReply(interval_s=self.interval_s)
        finally:
            self.running[url] -= 1

    def events(self, url: str, info_hash: bytes) -> list[AnnounceEvent]:
        return [event for where, who, event in self.heard if (where, who) == (url, info_hash)]


@dataclass
class Rate:
    total: int = 0


class Subject:
    """What an announcer and the queue ask of a torrent."""

    def __init__(self, engine: Engine, number: int, tiers: tuple[tuple[str, ...], ...]) -> None:
        self.info_hash = InfoHash(number.to_bytes(20, "big"))
        self.summary = Summary(
            info_hash=self.info_hash,
            name=str(number),
            size=_SAMPLE.size,
            piece_length=_SAMPLE.piece_length,
            file_count=1,
            is_private=False,
            trackers=tiers,
        )
        self.state = State.DOWNLOADING
        self.is_finished = False
        self.up_rate, self.down_rate = Rate(), Rate()
        self.left = 1
        self.announcer = Announcer(
            self,  # type: ignore[arg-type]
            engine,  # type: ignore[arg-type]
            lambda: engine.announcing.schedule(self),  # type: ignore[arg-type]
        )

    def changed(self) -> None:
        pass

    def note(self, level: str, text: str) -> None:
        pass

    def stop(self) -> None:
        self.state = State.PAUSED
        self.announcer.stop()


class Engine:
    """The part of a session that announces."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.rng = random.Random(1)
        self.limits = Limits(min_announce_interval_s=0.0)
        self.trackers = Trackers()
        self.peer_id = PeerId(b"-SW0100-abcdefghijkl")
        self.wall_clock = lambda: 0.0
        self.listen_port = lambda: 6881
        self.tasks: set[asyncio.Task[None]] = set()
        self.announcing = Announcing(self.loop, self.spawn)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.loop.create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def add(self, number: int, *urls: str, start: bool = True) -> Subject:
        subject = Subject(self, number, tuple((url,) for url in urls))
        if start:
            subject.announcer.start()
        return subject

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.001)


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine()
    yield engine
    engine.announcing.close()
    for task in engine.tasks:
        task.cancel()
    await asyncio.gather(*engine.tasks, return_exceptions=True)


@pytest.mark.parametrize("torn", ["http://[::1/announce", "udp://[torn", "http://a\u2100b.test/a"])
async def test_a_url_that_is_none_costs_nobody_else_an_announce(engine: Engine, torn: str) -> None:
    engine.trackers.dead.add(torn)
    hurt = engine.add(1, torn, GOOD)
    other = engine.add(2, GOOD)
    for subject in (hurt, other):
        schedule = subject.announcer.trackers[GOOD].schedule
        await engine.until(lambda schedule=schedule: schedule.is_known)  # type: ignore[misc]
    assert hurt.announcer.trackers[torn].error


async def test_a_thousand_torrents_on_one_host_are_a_few_at_a_time(engine: Engine) -> None:
    for number in range(1000):
        engine.add(number, GOOD)
    await engine.until(lambda: len(engine.trackers.heard) == 1000)
    assert engine.trackers.most[GOOD] == PER_HOST
    assert {event for _, _, event in engine.trackers.heard} == {AnnounceEvent.STARTED}
    assert len({who for _, who, _ in engine.trackers.heard}) == 1000


async def test_there_is_a_bound_for_all_hosts_together(engine: Engine) -> None:
    hosts = [f"http://host{number}.test/a" for number in range(40)]
    for number in range(400):
        engine.add(number, hosts[number % 40])
    await engine.until(lambda: len(engine.trackers.heard) == 400)
    assert PER_HOST < engine.trackers.most_in_all <= IN_ALL


async def test_hosts_take_turns(engine: Engine) -> None:
    """A host that many wait for does not make the others wait."""
    for number in range(400):
        engine.add(number, f"http://busy{number % 20}.test/a")
    engine.add(1000, GOOD)
    await engine.until(lambda: bool(engine.trackers.events(GOOD, (1000).to_bytes(20, "big"))))
    assert len(engine.trackers.heard) < 3 * IN_ALL


async def test_all_who_wait_for_a_dead_host_are_told_at_once(engine: Engine) -> None:
    """Not one after the other, each with a time-out; then their next tracker is tried."""
    subjects = [engine.add(number, DEAD, GOOD) for number in range(500)]
    await engine.until(lambda: sum(where == GOOD for where, _, _ in engine.trackers.heard) == 500)
    tried = sum(where == DEAD for where, _, _ in engine.trackers.heard)
    assert tried <= 3 * PER_HOST
    assert all("no route" in subject.announcer.trackers[DEAD].error for subject in subjects)
    assert all(subject.announcer.trackers[DEAD].schedule.failures for subject in subjects)


async def test_one_failure_is_no_death(engine: Engine) -> None:
    """A host that answers in between is asked by each torrent itself."""
    for number in range(100):
        engine.add(number, DEAD)
        engine.trackers.dead.symmetric_difference_update({DEAD})
        await engine.until(lambda number=number: len(engine.trackers.heard) == number + 1)


async def test_those_that_need_peers_go_first(engine: Engine) -> None:
    gate = engine.trackers.held[SLOW] = asyncio.Event()
    for number in range(PER_HOST):
        engine.add(number, SLOW)
    await engine.until(lambda: engine.trackers.running.get(SLOW) == PER_HOST)
    seeds = [engine.add(100 + number, SLOW, start=False) for number in range(20)]
    for seed in seeds:
        seed.is_finished = True
        seed.announcer.start()
    await asyncio.sleep(0)
    engine.add(1000, SLOW)
    await engine.until(lambda: len(engine.announcing._queued) == PER_HOST + 21)
    gate.set()
    await engine.until(lambda: len(engine.trackers.heard) == PER_HOST + 21)
    assert engine.trackers.heard[PER_HOST][1] == (1000).to_bytes(20, "big")


async def test_who_stops_while_waiting_is_not_announced(engine: Engine) -> None:
    gate = engine.trackers.held[SLOW] = asyncio.Event()
    for number in range(PER_HOST):
        engine.add(number, SLOW)
    await engine.until(lambda: engine.trackers.running.get(SLOW) == PER_HOST)
    waiting = engine.add(100, SLOW)
    await engine.until(lambda: len(engine.announcing._queued) == PER_HOST + 1)
    waiting.stop()
    gate.set()
    await engine.until(lambda: not engine.announcing._queued)
    assert engine.trackers.events(SLOW, waiting.info_hash) == []


async def test_a_swift_stop_and_start_are_both_said(engine: Engine) -> None:
    subject = engine.add(1, GOOD)
    await engine.until(lambda: len(engine.trackers.heard) == 1)
    await engine.until(lambda: not engine.announcing._queued)
    subject.stop()
    await engine.until(lambda: len(engine.trackers.heard) == 2)
    subject.state = State.DOWNLOADING
    subject.announcer.start()
    await engine.until(lambda: len(engine.trackers.heard) == 3)
    assert engine.trackers.events(GOOD, subject.info_hash) == [
        AnnounceEvent.STARTED,
        AnnounceEvent.STOPPED,
        AnnounceEvent.STARTED,
    ]


async def test_regular_announces_come_when_they_are_due(engine: Engine) -> None:
    engine.trackers.interval_s = 0.02
    subject = engine.add(1, GOOD)
    await engine.until(lambda: len(engine.trackers.heard) >= 4)
    events = engine.trackers.events(GOOD, subject.info_hash)
    assert events[0] is AnnounceEvent.STARTED
    assert set(events[1:]) == {AnnounceEvent.NONE}


async def test_drain_says_all_good_byes(engine: Engine) -> None:
    subjects = [engine.add(number, GOOD) for number in range(100)]
    await engine.until(lambda: len(engine.trackers.heard) == 100)
    for subject in subjects:
        subject.stop()
    await engine.announcing.drain(20.0)
    stopped = {who for _, who, event in engine.trackers.heard if event is AnnounceEvent.STOPPED}
    assert len(stopped) == 100


async def test_drain_does_not_wait_for_who_does_not_answer(engine: Engine) -> None:
    subject = engine.add(1, SLOW)
    await engine.until(lambda: len(engine.trackers.heard) == 1)
    await engine.until(lambda: not engine.announcing._queued)
    engine.trackers.held[SLOW] = asyncio.Event()
    subject.stop()
    began = engine.loop.time()
    await engine.announcing.drain(0.05)
    assert engine.loop.time() - began < 5
    assert engine.trackers.events(SLOW, subject.info_hash)[-1] is AnnounceEvent.STOPPED


async def test_drain_keeps_to_back_offs(engine: Engine) -> None:
    """A tracker that refuses a good-bye is not asked again and again on the way out."""
    subject = engine.add(1, GOOD)
    await engine.until(lambda: len(engine.trackers.heard) == 1)
    await engine.until(lambda: not engine.announcing._queued)
    engine.trackers.dead.add(GOOD)
    subject.stop()
    await engine.announcing.drain(20.0)
    assert engine.trackers.events(GOOD, subject.info_hash)[1:] == [AnnounceEvent.STOPPED]


async def test_nothing_is_begun_after_close(engine: Engine) -> None:
    gate = engine.trackers.held[SLOW] = asyncio.Event()
    for number in range(3 * PER_HOST):
        engine.add(number, SLOW)
    await engine.until(lambda: engine.trackers.running.get(SLOW) == PER_HOST)
    engine.announcing.close()
    gate.set()
    await engine.until(lambda: not engine.tasks)
    assert len(engine.trackers.heard) == PER_HOST
