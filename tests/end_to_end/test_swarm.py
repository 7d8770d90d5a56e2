"""Several engines around a tracker: everybody gets everything, whoever comes, goes, is limited."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core import bencode
from engine.core.metainfo import Info, Metainfo
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.swarm.peer_list import FIRST_RETRY_S
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from engine.tracker.app import TrackerApp, TrackerSettings
from tests.end_to_end.rig import (
    LOOPBACK,
    endpoint_of,
    running,
    seeding,
    until,
    until_state,
    with_trackers,
)
from tests.storage.torrents import Layout, Sample, sample
from tests.tracker.asking import needs_ipv6

KIB = 1024
QUICK = replace(LOOPBACK, limits=Limits(min_announce_interval_s=0.2))
"""A tracker on loopback may be asked often."""


class Swarm:
    """Engines that share one torrent, each with a folder of its own."""

    def __init__(
        self, stack: contextlib.AsyncExitStack, folder: Path, content: Sample, metainfo: Metainfo
    ) -> None:
        self.content, self.metainfo = content, metainfo
        self.members: list[tuple[Session, Torrent]] = []
        self._stack, self._folder = stack, folder

    async def seeder(self, options: SessionOptions) -> Session:
        folder = self._folder / f"member{len(self.members)}"
        self.content.store(folder)
        session = await self._stack.enter_async_context(running(options))
        self.members.append((session, await seeding(session, self.metainfo, folder)))
        return session

    async def leecher(self, options: SessionOptions, *peers: Session) -> Session:
        folder = self._folder / f"member{len(self.members)}"
        session = await self._stack.enter_async_context(running(options))
        torrent = await session.add(
            self.metainfo, save_path=folder, peers=[endpoint_of(peer) for peer in peers]
        )
        self.members.append((session, torrent))
        return session

    def torrent_of(self, session: Session) -> Torrent:
        return session.torrents[self.metainfo.info_hash]

    async def everybody_has_everything(self) -> None:
        for number, (session, torrent) in enumerate(self.members):
            if session.incoming.listener.endpoints:  # still there
                await until_state(session, torrent, State.SEEDING)
                for file, entry in enumerate(self.content.info.files):
                    path = (self._folder / f"member{number}").joinpath(*entry.path)
                    assert path.read_bytes() == self.content.content_of(file)


@pytest.fixture
async def stack() -> AsyncIterator[contextlib.AsyncExitStack]:
    async with contextlib.AsyncExitStack() as stack:
        yield stack


async def _tracker(stack: contextlib.AsyncExitStack, host: str = "127.0.0.1") -> TrackerApp:
    at = f"{host}:0"
    settings = TrackerSettings(http=at, udp=at, interval_s=1, min_interval_s=1)
    return await stack.enter_async_context(TrackerApp(settings))


def _content() -> Sample:
    return sample([Layout("a", 700_001), Layout("b/c", 1_300_000)], 64 * KIB)


@pytest.mark.parametrize("scheme", ["http", "udp"])
@pytest.mark.parametrize(
    "host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)], ids=["ipv4", "ipv6"]
)
async def test_one_seeder_serves_four_who_find_it_through_a_tracker(
    stack: contextlib.AsyncExitStack, tmp_path: Path, scheme: str, host: str
) -> None:
    tracker = await _tracker(stack, f"[{host}]" if ":" in host else host)
    (url,) = [url for url in tracker.addresses.announce_urls if url.startswith(scheme)]
    content = _content()
    swarm = Swarm(stack, tmp_path, content, with_trackers(Metainfo(content.info), url))
    options = replace(QUICK, listen_host=host)
    await swarm.seeder(options)
    for _ in range(4):
        await swarm.leecher(options)
    await swarm.everybody_has_everything()
    assert all(":" in str(endpoint_of(session)) for session, _ in swarm.members)
    _, torrent = swarm.members[-1]
    (entry,) = torrent.announcer.trackers.values()
    assert entry.reply is not None
    assert not entry.error


async def test_four_seeders_serve_one(stack: contextlib.AsyncExitStack, tmp_path: Path) -> None:
    tracker = await _tracker(stack)
    content = _content()
    metainfo = with_trackers(Metainfo(content.info), *tracker.addresses.announce_urls)
    swarm = Swarm(stack, tmp_path, content, metainfo)
    # Slow enough that no seeder alone could do it before the others are met.
    seeders = [await swarm.seeder(replace(QUICK, up_limit=500 * KIB)) for _ in range(4)]
    await swarm.leecher(QUICK)
    await swarm.everybody_has_everything()
    assert sum(seeder.uploaded > 0 for seeder in seeders) >= 3
    assert sum(seeder.uploaded for seeder in seeders) < 1.1 * content.info.total_length


async def test_a_swarm_outlives_its_seeder(
    stack: contextlib.AsyncExitStack, tmp_path: Path
) -> None:
    """It leaves as soon as one copy is out, spread over three who do not know each other yet."""
    content = sample(KIB * KIB, 16 * KIB)
    swarm = Swarm(stack, tmp_path, content, Metainfo(content.info))
    seeder = await swarm.seeder(replace(QUICK, up_limit=2 * KIB * KIB))
    leechers = [await swarm.leecher(QUICK, seeder) for _ in range(3)]
    torrents = [swarm.torrent_of(leecher) for leecher in leechers]

    def is_out() -> bool:
        return len({index for torrent in torrents for index in torrent.have}) == 64

    await until(leechers[0], is_out)
    await seeder.stop()
    incomplete = sum(not torrent.is_complete for torrent in torrents)
    assert incomplete >= 2
    for torrent in torrents:
        for other in leechers:
            if swarm.torrent_of(other) is not torrent:
                torrent.add_peer(endpoint_of(other))
    await swarm.everybody_has_everything()


async def test_those_who_dial_each_other_at_once_stay_connected(
    stack: contextlib.AsyncExitStack, tmp_path: Path
) -> None:
    """Both sides refuse one of the two connections; it must be the same one."""
    content = _content()
    swarm = Swarm(stack, tmp_path, content, Metainfo(content.info))
    seeder = await swarm.seeder(QUICK)
    here = swarm.torrent_of(seeder)
    for _ in range(8):
        leecher = await swarm.leecher(QUICK)
        there = swarm.torrent_of(leecher)
        await until_state(leecher, there, State.DOWNLOADING)
        began = seeder.facilities.loop.time()
        here.add_peer(endpoint_of(leecher))
        there.add_peer(endpoint_of(seeder))
        await until_state(leecher, there, State.SEEDING)
        assert seeder.facilities.loop.time() - began < FIRST_RETRY_S / 2
    await swarm.everybody_has_everything()


async def test_a_place_for_each_is_kept_to(
    stack: contextlib.AsyncExitStack, tmp_path: Path
) -> None:
    """Two at a time, and all get everything in the end."""
    content = _content()
    swarm = Swarm(stack, tmp_path, content, Metainfo(content.info))
    few = replace(QUICK, limits=Limits(max_connections_per_torrent=2))
    seeder = await swarm.seeder(few)
    most = 0

    def watch(_: Torrent) -> None:
        nonlocal most
        live = swarm.torrent_of(seeder).live
        most = max(most, len(live.peers.connected) if live else 0)

    seeder.on_change.append(watch)
    first, second = [await swarm.leecher(few, seeder) for _ in range(2)]
    await until_state(first, swarm.torrent_of(first), State.SEEDING)
    await until_state(second, swarm.torrent_of(second), State.SEEDING)
    await swarm.leecher(few, seeder)
    await swarm.everybody_has_everything()
    assert 1 <= most <= 2


async def test_a_private_torrent_moves_through_its_tracker(
    stack: contextlib.AsyncExitStack, tmp_path: Path
) -> None:
    """BEP 27."""
    tracker = await _tracker(stack)
    public = sample(300_000, 64 * KIB)
    info = Info.parse(bencode.encode({**bencode.decode_dict(public.info.raw), b"private": 1}))
    content = replace(public, info=info)
    metainfo = with_trackers(Metainfo(info), *tracker.addresses.announce_urls)
    swarm = Swarm(stack, tmp_path, content, metainfo)
    await swarm.seeder(QUICK)
    await swarm.leecher(QUICK)
    await swarm.everybody_has_everything()
    assert all(torrent.summary.is_private for _, torrent in swarm.members)


async def test_whoever_stops_is_struck_off_by_the_tracker(
    stack: contextlib.AsyncExitStack, tmp_path: Path
) -> None:
    tracker = await _tracker(stack)
    content = sample(100_000, 64 * KIB)
    metainfo = with_trackers(Metainfo(content.info), *tracker.addresses.announce_urls)
    swarm = Swarm(stack, tmp_path, content, metainfo)
    seeder = await swarm.seeder(QUICK)
    leecher = await swarm.leecher(QUICK)
    await swarm.everybody_has_everything()

    def counted() -> tuple[int, int, int]:
        count = tracker.table.count(bytes(metainfo.info_hash))
        return count.seeds, count.leechers, count.downloads

    await until(leecher, lambda: counted() == (2, 0, 1))
    await seeder.stop()
    assert counted() == (1, 0, 1)
    swarm.torrent_of(leecher).pause()
    await until(leecher, lambda: counted() == (0, 0, 1))
