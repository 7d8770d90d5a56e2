"""Four different clients in one swarm, through our tracker, in a network of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.tracker.app import TrackerApp
from tests.interop.clients import (
    Aria2Client,
    Client,
    LibtorrentClient,
    TransmissionClient,
    eventually,
    require,
    running,
)
from tests.interop.content import Content, many_files, single_file
from tests.interop.leg import until_tracker
from tests.interop.our_tracker import tracker_on, urls_of
from tests.interop.own_network import address, run_in_own_network
from tests.interop.seedwright import SeedwrightClient

SWARM_S = 120.0

pytestmark = pytest.mark.timeout(300)


async def start(stack: AsyncExitStack, clients: Sequence[Client], at: Path) -> None:
    """Start them all at once; the stack ends them."""
    async with asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            home = at / f"{number} {client.name}"
            group.create_task(stack.enter_async_context(running(client, home)))


async def fetch_all(
    tracker: TrackerApp, content: Content, leechers: Sequence[Client], at: Path
) -> None:
    """Wait until all who were given the torrent have it, byte for byte."""
    info_hash = Metainfo.parse(content.torrent).info_hash
    async with asyncio.TaskGroup() as group:
        for leecher in leechers:
            group.create_task(leecher.wait_complete(info_hash, SWARM_S))
    for number, leecher in enumerate(leechers):
        content.check(at / f"target {number}", empty_files=leecher.makes_empty_files)
    await until_tracker(
        tracker,
        info_hash,
        lambda count: count.leechers == 0 and count.downloads == len(leechers),
        f"all have {content.name}",
    )


async def publish(
    tracker: TrackerApp, content: Content, seeder: Client, leechers: Sequence[Client], at: Path
) -> None:
    """Give the torrent to the leechers first, so that all of them begin with nothing."""
    info_hash = Metainfo.parse(content.torrent).info_hash
    source = content.write(at / "source")
    for number, leecher in enumerate(leechers):
        target = at / f"target {number}"
        target.mkdir()
        await leecher.add(content.torrent, target)
    await until_tracker(
        tracker, info_hash, lambda count: count.leechers == len(leechers), "all leechers"
    )
    await seeder.add(content.torrent, source, seed=True)


def test_each_of_four_publishes_and_the_others_fetch(tmp_path: Path) -> None:
    require(LibtorrentClient, TransmissionClient, Aria2Client)

    async def test() -> None:
        clients: list[Client] = [
            SeedwrightClient(address(2)),
            LibtorrentClient(address(3)),
            TransmissionClient(address(4)),
            Aria2Client(address(5)),
        ]
        async with tracker_on(address(1)) as tracker, AsyncExitStack() as stack:
            await start(stack, clients, tmp_path)
            urls = urls_of(tracker, "http")
            contents = [(single_file, many_files)[n % 2](urls, seed=n) for n in range(4)]

            async def share(number: int) -> None:
                others = [*clients[:number], *clients[number + 1 :]]
                at = tmp_path / f"torrent {number}"
                at.mkdir()
                await publish(tracker, contents[number], clients[number], others, at)
                await fetch_all(tracker, contents[number], others, at)

            async with asyncio.TaskGroup() as group:
                for number in range(4):
                    group.create_task(share(number))
            assert tracker.statistics.refused == 0

    run_in_own_network(test, hosts=5)


def test_the_seeder_leaves_once_one_copy_is_out(tmp_path: Path) -> None:
    """What the others lack then must come from leechers."""
    require(LibtorrentClient, TransmissionClient, Aria2Client)

    async def test() -> None:
        # Leechers that serve each other slowly still lack much when the seeder leaves.
        seeder = SeedwrightClient(address(2), {"transfer.up_limit": "400kB/s"})
        leechers: list[Client] = [
            SeedwrightClient(address(3), {"transfer.up_limit": "100kB/s"}),
            LibtorrentClient(address(4), {"upload_rate_limit": 100_000}),
            TransmissionClient(address(5), {"speed-limit-up": 100, "speed-limit-up-enabled": True}),
            Aria2Client(address(6), {"max-overall-upload-limit": "100K"}),
        ]
        async with tracker_on(address(1)) as tracker, AsyncExitStack() as stack:
            await start(stack, leechers, tmp_path)
            content = single_file(urls_of(tracker, "http"))
            info_hash = Metainfo.parse(content.torrent).info_hash
            had: list[float] = []

            async def one_copy_is_out() -> bool:
                had[:] = [await leecher.progress(info_hash) for leecher in leechers]
                # A leecher that has everything is no longer connected to the seeder.
                return max(had) == 1 or (await seeder.info(info_hash)).availability >= 1

            async with running(seeder, tmp_path / "seeder"):
                await publish(tracker, content, seeder, leechers, tmp_path)
                await eventually(one_copy_is_out, SWARM_S, lambda: f"no copy is out: {had}")
                row = (await seeder.info(info_hash)).row
            assert sum(progress < 1 for progress in had) >= 2, had
            assert row.uploaded < row.size * (len(leechers) - 1)
            await fetch_all(tracker, content, leechers, tmp_path)
            assert tracker.table.count(info_hash).seeds == len(leechers)

    run_in_own_network(test, hosts=6)
