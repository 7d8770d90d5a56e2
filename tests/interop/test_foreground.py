"""`seedwright get` and `seedwright seed` against libtorrent: the commands that need no daemon."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from engine.core.compact import Endpoint, split_host_port
from engine.core.metainfo import Metainfo
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
from tests.interop.leg import TRANSFER_S, until_tracker
from tests.interop.our_tracker import tracker_on, urls_of
from tests.interop.seedwright import Command, run

pytestmark = pytest.mark.timeout(200)

KINDS: list[type[Client]] = [LibtorrentClient, TransmissionClient, Aria2Client]
ANY_PORT = ("--listen", f"{LOOPBACK}:0")


def saved(content: Content, at: Path) -> Path:
    """Write the .torrent file."""
    path = at / "some.torrent"
    path.write_bytes(content.torrent)
    return path


@pytest.mark.parametrize("scheme", ["http", "udp", None])
async def test_get_from_libtorrent(tmp_path: Path, scheme: str | None) -> None:
    """Found through the tracker, or told by --peer."""
    require(LibtorrentClient)
    seeder = LibtorrentClient()
    async with tracker_on(LOOPBACK) as tracker, running(seeder, tmp_path / "seeder"):
        content = many_files(urls_of(tracker, scheme) if scheme else [])
        at = content.write(tmp_path / "source")
        info_hash = await seeder.add(content.torrent, at, seed=True)
        await seeder.wait_complete(info_hash, TRANSFER_S)
        peers = [] if scheme else ["--peer", seeder.endpoint]
        if scheme:
            await until_tracker(tracker, info_hash, lambda count: count.seeds == 1, "a seeder")
        target = tmp_path / "target"
        torrent = saved(content, tmp_path)
        options = (*ANY_PORT, "--isolated", *peers)
        ended = await run(tmp_path / "home", "get", torrent, "-o", target, *options)
        assert ended.code == 0, ended
        assert "complete and verified" in ended.said
        content.check(target)
        if scheme:  # it came, it completed, it left
            assert tracker.table.count(info_hash) == (info_hash, 1, 0, 1)
        again = await run(tmp_path / "home", "get", torrent, "-o", target, *ANY_PORT)
        assert again.code == 0, again
        assert "nothing was missing" in again.said


@pytest.mark.parametrize("scheme", ["http", "udp", None])
async def test_seed_to_libtorrent(tmp_path: Path, scheme: str | None) -> None:
    """libtorrent finds it through the tracker, or is told where it says that it listens."""
    require(LibtorrentClient)
    leecher = LibtorrentClient()
    async with tracker_on(LOOPBACK) as tracker, running(leecher, tmp_path / "leecher"):
        content = single_file(urls_of(tracker, scheme) if scheme else [])
        info_hash = Metainfo.parse(content.torrent).info_hash
        at, target = content.write(tmp_path / "source"), tmp_path / "target"
        torrent = saved(content, tmp_path)
        options = (*ANY_PORT, "--isolated")
        async with Command(tmp_path / "home", "seed", torrent, "--data", at, *options) as seeding:
            said = await seeding.wait_for(" on ")
            peers = []
            if scheme:
                await until_tracker(tracker, info_hash, lambda count: count.seeds == 1, "us")
            else:
                peers = [Endpoint(*split_host_port(said.split(" on ")[1].split()[0]))]
            await leecher.add(content.torrent, target, peers=peers)
            await leecher.wait_complete(info_hash, TRANSFER_S)
            content.check(target)
            ended = await seeding.end(TRANSFER_S, signal=signal.SIGTERM)
            assert ended.code == 0, ended
        if scheme:
            await until_tracker(tracker, info_hash, lambda count: count.seeds == 1, "it left")


@pytest.mark.parametrize("options", [[], ["--super-seed"]], ids=["plain", "super"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_seed_that_ends_at_one_copy(
    tmp_path: Path, kind: type[Client], options: list[str]
) -> None:
    """Who has everything hangs up on a seed at once; it must have said so, or be understood."""
    require(kind)
    leecher = kind()
    async with tracker_on(LOOPBACK) as tracker, running(leecher, tmp_path / "leecher"):
        content = single_file(urls_of(tracker, "http"))
        info_hash = Metainfo.parse(content.torrent).info_hash
        at, target = content.write(tmp_path / "source"), tmp_path / "target"
        torrent = saved(content, tmp_path)
        told = (*ANY_PORT, "--isolated", *options, "--until-copies", "1")
        if not kind.can_dial:
            await leecher.add(content.torrent, target)
            await until_tracker(tracker, info_hash, lambda count: count.leechers == 1, "it")
        async with Command(tmp_path / "home", "seed", torrent, "--data", at, *told) as seeding:
            if kind.can_dial:
                await until_tracker(tracker, info_hash, lambda count: count.seeds == 1, "us")
                await leecher.add(content.torrent, target)
            await leecher.wait_complete(info_hash, TRANSFER_S)
            ended = await seeding.end(TRANSFER_S)
            assert ended.code == 0, ended
            content.check(target)
