"""seedwright and each of the other clients: what one publishes the other fetches, byte for byte.

The engine is the real daemon, and the tracker is ours. One pair of clients carries several torrents
at once: to start a client, and to wait until it serves a peer, takes longer than all transfers.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interop.clients import (
    LOOPBACK,
    Aria2Client,
    Client,
    LibtorrentClient,
    TransmissionClient,
    require,
    running,
)
from tests.interop.content import Content, many_files, single_file
from tests.interop.leg import Leg, until_tracker
from tests.interop.our_tracker import tracker_on, urls_of
from tests.interop.seedwright import SeedwrightClient, run

pytestmark = pytest.mark.timeout(300)

KINDS: list[type[Client]] = [LibtorrentClient, TransmissionClient, Aria2Client]


def _name(kind: type[Client]) -> str:
    return kind.name


async def created(content: Content, at: Path, tracker_url: str) -> Content:
    """The same content with the torrent that `seedwright create` makes of it."""
    torrent = at / "made.torrent"
    source = content.write(at) / content.name
    ended = await run(
        at,
        *("create", source, "-o", torrent, "--tracker", tracker_url, "--piece-length", "32KiB"),
    )
    assert ended.code == 0, ended
    return replace(content, torrent=torrent.read_bytes())


@pytest.mark.parametrize("kind", KINDS, ids=_name)
async def test_transfers_both_ways(tmp_path: Path, kind: type[Client]) -> None:
    require(kind)
    ours, other = SeedwrightClient(), kind()
    async with AsyncExitStack() as stack:
        tracker = await stack.enter_async_context(tracker_on(LOOPBACK))
        http = urls_of(tracker, "http")
        udp = urls_of(tracker, "udp" if other.has_udp_trackers else "http")
        await stack.enter_async_context(running(other, tmp_path / "other"))
        async with running(ours, tmp_path / "ours"):
            made = [
                await created(single_file([], seed=3), tmp_path / "made 3", http[0]),
                await created(many_files([], seed=4), tmp_path / "made 4", udp[0]),
            ]
            legs = [
                Leg(single_file(udp, seed=1), other, ours, tmp_path / "1"),
                Leg(many_files(http, seed=2), other, ours, tmp_path / "2"),
                Leg(made[0], ours, other, tmp_path / "3"),
                Leg(made[1], ours, other, tmp_path / "4"),
                Leg(single_file([], seed=5), other, ours, tmp_path / "5", is_told=True),
                Leg(many_files([], seed=6), ours, other, tmp_path / "6", is_told=True),
            ]
            # Transmission hangs up on who greets it while it greets another from the same address.
            if kind is TransmissionClient:
                for leg in legs:
                    await leg.begin(tracker)
            else:
                async with asyncio.TaskGroup() as group:
                    for leg in legs:
                        group.create_task(leg.begin(tracker))
            async with asyncio.TaskGroup() as group:
                for leg in legs:
                    group.create_task(leg.finish(tracker))
            for leg in legs:
                info = await ours.info(leg.info_hash)
                size = sum(map(len, leg.content.files.values()))
                # More is uploaded than fetched when a connection was lost on the way.
                assert info.row.uploaded >= (size if leg.source is ours else 0)
                assert info.row.downloaded - info.wasted == (size if leg.target is ours else 0)
        assert tracker.statistics.refused == 0
        for leg in legs:
            if not leg.is_told:
                await until_tracker(
                    tracker, leg.info_hash, lambda count: count.seeds == 1, "we said goodbye"
                )
