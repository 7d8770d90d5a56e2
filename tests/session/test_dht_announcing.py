"""Which torrent looks in the DHT, and when: on a clock that only the test turns."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.discovery.dht.purpose import FindPeers
from engine.session.dht_announcing import (
    AT_ONCE,
    FIRST_RETRY_S,
    INTERVAL_S,
    DhtAnnouncing,
    Record,
)
from engine.swarm.peer_list import PeerSource

PORT = 6881
OTHER = Endpoint("192.0.2.7", 7000)


class Timer:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Clock:
    """The part of a loop that is asked for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._timers: list[tuple[float, int, Timer, Callable[[], None]]] = []
        self._count = itertools.count()

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, callback: Callable[[], None]) -> Timer:
        timer = Timer()
        heapq.heappush(self._timers, (at, next(self._count), timer, callback))
        return timer

    @property
    def timers(self) -> int:
        return sum(not timer.is_cancelled for _, _, timer, _ in self._timers)

    def turn(self, seconds: float) -> None:
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            at, _, timer, callback = heapq.heappop(self._timers)
            self.now = max(self.now, at)
            if not timer.is_cancelled:
                callback()
        self.now = end


class Asked:
    """A search that the test ends."""

    def __init__(self, purpose: FindPeers, on_end: Any, on_peers: Any) -> None:
        self.purpose = purpose
        self.on_peers = on_peers
        self.is_cancelled = False
        self._on_end = on_end

    def end(self) -> None:
        self._on_end(self)


class Nodes:
    """The session's Dht, as far as it is asked."""

    port = PORT
    is_running = True
    takes_utp = False

    def __init__(self) -> None:
        self.joined = {False}
        self.nodes = {False: SimpleNamespace(host="203.0.113.5")}
        self.asked: list[Asked] = []
        self.on_joined: Callable[[], None] = lambda: None

    def search(self, make: Any, on_end: Any, on_peers: Any) -> Asked:
        self.asked.append(Asked(make(), on_end, on_peers))
        return self.asked[-1]

    def cancel(self, search: Asked) -> None:
        search.is_cancelled = True


@dataclass(eq=False)
class Torrent:
    number: int
    is_private: bool = False
    has_info: bool = True
    is_complete: bool = False
    is_started: bool = True
    found: list[tuple[list[Endpoint], PeerSource]] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        return self.is_complete

    @property
    def info_hash(self) -> InfoHash:
        return InfoHash(self.number.to_bytes(20, "big"))

    @property
    def summary(self) -> Torrent:
        return self

    @property
    def announcer(self) -> Torrent:
        return self

    def found_peers(self, endpoints: list[Endpoint], source: PeerSource) -> None:
        self.found.append((endpoints, source))


class Rig:
    def __init__(self) -> None:
        self.clock, self.nodes = Clock(), Nodes()
        self.announcing = DhtAnnouncing(
            self.clock,  # type: ignore[arg-type]
            self.nodes,  # type: ignore[arg-type]
            listen_port=lambda: PORT,
            is_own_host=lambda host: host == "127.0.0.1",
        )

    def add(self, number: int = 1, **facts: Any) -> Torrent:
        torrent = Torrent(number, **facts)
        self.announcing.look_at(torrent)  # type: ignore[arg-type]
        return torrent

    def record(self, torrent: Torrent) -> Record:
        record = self.announcing.record_of(torrent)  # type: ignore[arg-type]
        assert record is not None
        return record

    def search(self) -> Asked:
        """Let time pass until a search begins."""
        before = len(self.nodes.asked)
        self.clock.turn(0)
        assert len(self.nodes.asked) == before + 1
        return self.nodes.asked[-1]


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_torrent_that_begins_looks_at_once_and_announces_its_port(rig: Rig) -> None:
    torrent = rig.add()
    purpose = rig.search().purpose
    assert purpose.target == torrent.info_hash
    assert (purpose.port, purpose.implied_port, purpose.is_seed) == (PORT, False, False)


def test_a_seed_says_so_and_asks_for_no_seeds(rig: Rig) -> None:
    rig.nodes.takes_utp = True
    rig.add(is_complete=True)
    purpose = rig.search().purpose
    assert purpose.is_seed
    assert purpose.no_seeds
    assert purpose.implied_port


def test_peers_are_handed_on_as_they_come_and_we_are_none(rig: Rig) -> None:
    torrent = rig.add()
    search = rig.search()
    ours = (Endpoint("127.0.0.1", PORT), Endpoint("203.0.113.5", PORT))
    search.on_peers((*ours, OTHER))
    search.on_peers((OTHER,))
    assert torrent.found == [([OTHER], PeerSource.DHT)] * 2
    search.end()
    assert rig.record(torrent).peers == 1


def test_a_new_port_is_announced_for_all_whatever_is_under_way(rig: Rig) -> None:
    rested, searching, private = rig.add(1), rig.add(2), rig.add(3)
    rig.clock.turn(0)
    first = {each.purpose.target: each for each in rig.nodes.asked}
    first[rested.info_hash].end()
    rig.announcing.on_metadata(private, is_private=True)  # type: ignore[arg-type]
    rig.announcing.announce_all()
    assert first[searching.info_hash].is_cancelled
    rig.clock.turn(0)
    again = rig.nodes.asked[len(first) :]
    assert {each.purpose.target for each in again} == {rested.info_hash, searching.info_hash}


def test_the_next_look_is_spread_over_a_quarter_of_an_hour(rig: Rig) -> None:
    waits = []
    for number in range(AT_ONCE):
        torrent = rig.add(number)
        rig.search().end()
        waits.append(rig.announcing.next_in_s(rig.record(torrent)))
    assert all(wait and INTERVAL_S[0] <= wait <= INTERVAL_S[1] for wait in waits)
    assert len(set(waits)) > AT_ONCE // 2
    assert rig.clock.timers == 1


def test_few_peers_bring_the_next_look_forward_less_each_time(rig: Rig) -> None:
    torrent = rig.add()
    gaps = []
    for _ in range(8):
        rig.search().end()
        began = rig.clock.now
        rig.announcing.want_peers(torrent.info_hash)
        wait = rig.announcing.next_in_s(rig.record(torrent))
        assert wait is not None
        for _ in range(3):  # every second anew
            rig.announcing.want_peers(torrent.info_hash)
        rig.clock.turn(wait - 0.1)
        gaps.append(rig.clock.now - began)
        rig.clock.now += 0.2
    assert gaps[0] == pytest.approx(FIRST_RETRY_S, abs=0.2)
    assert gaps == sorted(gaps)
    assert gaps[-1] <= INTERVAL_S[1]


def test_many_torrents_take_turns_and_new_downloads_go_first(rig: Rig) -> None:
    rig.nodes.joined = set()
    seeds = [rig.add(number, is_complete=True) for number in range(10_000)]
    download = rig.add(20_000)
    rig.clock.turn(0)
    assert not rig.nodes.asked  # nobody can be asked yet
    rig.nodes.joined = {False}
    rig.nodes.on_joined()
    assert len(rig.nodes.asked) == AT_ONCE
    assert rig.nodes.asked[0].purpose.target == download.info_hash
    done = 0
    while done < len(rig.nodes.asked):
        rig.nodes.asked[done].end()
        done += 1
        assert len(rig.nodes.asked) - done <= AT_ONCE
    assert done == len(seeds) + 1
    assert rig.clock.timers == 1


def test_the_user_goes_before_those_that_wait(rig: Rig) -> None:
    first = rig.add(0)
    rig.search().end()
    for number in range(1, 100):
        rig.add(number, is_complete=True)
    rig.clock.turn(0)
    rig.announcing.announce_now(first)  # type: ignore[arg-type]
    rig.clock.turn(0)
    rig.nodes.asked[1].end()
    assert rig.nodes.asked[-1].purpose.target == first.info_hash


def test_a_torrent_that_stops_is_let_go(rig: Rig) -> None:
    torrent = rig.add()
    search = rig.search()
    torrent.is_started = False
    rig.announcing.look_at(torrent)  # type: ignore[arg-type]
    assert search.is_cancelled
    assert rig.announcing.record_of(torrent) is None  # type: ignore[arg-type]
    search.end()
    rig.clock.turn(10_000)
    assert len(rig.nodes.asked) == 1


def test_places_of_cancelled_searches_are_given_on(rig: Rig) -> None:
    torrents = [rig.add(number) for number in range(AT_ONCE + 1)]
    rig.clock.turn(0)
    assert len(rig.nodes.asked) == AT_ONCE
    torrents[0].is_started = False
    rig.announcing.look_at(torrents[0])  # type: ignore[arg-type]
    assert len(rig.nodes.asked) == AT_ONCE + 1


def test_private_torrents_are_not_even_known(rig: Rig) -> None:
    torrent = rig.add(is_private=True)
    rig.announcing.announce_now(torrent)  # type: ignore[arg-type]
    rig.announcing.want_peers(torrent.info_hash)
    rig.clock.turn(10_000)
    assert not rig.nodes.asked
    assert rig.clock.timers == 0


def test_without_metadata_it_looks_and_does_not_announce(rig: Rig) -> None:
    torrent = rig.add(has_info=False)
    search = rig.search()
    assert search.purpose.port == 0
    assert not search.purpose.implied_port
    rig.announcing.on_metadata(torrent, is_private=False)  # type: ignore[arg-type]
    assert search.is_cancelled
    torrent.has_info = True
    rig.clock.turn(2.0)
    assert rig.nodes.asked[-1].purpose.port == PORT


def test_metadata_that_says_private_ends_it(rig: Rig) -> None:
    torrent = rig.add(has_info=False)
    search = rig.search()
    rig.announcing.on_metadata(torrent, is_private=True)  # type: ignore[arg-type]
    assert search.is_cancelled
    rig.announcing.look_at(torrent)  # type: ignore[arg-type]
    rig.announcing.announce_now(torrent)  # type: ignore[arg-type]
    rig.announcing.want_peers(torrent.info_hash)
    rig.clock.turn(10_000)
    assert len(rig.nodes.asked) == 1


def test_off_means_no_record(rig: Rig) -> None:
    rig.nodes.is_running = False
    rig.add()
    assert rig.clock.timers == 0


def test_closing_lets_go_of_everything(rig: Rig) -> None:
    rig.add(1)
    search = rig.search()
    rig.add(2)
    rig.announcing.close()
    assert search.is_cancelled
    assert rig.clock.timers == 0
    assert rig.announcing.next_in_s(Record(Torrent(3), 0.0, 0)) == 0.0  # type: ignore[arg-type]
    assert math.isinf(rig.announcing._alarm.at)
