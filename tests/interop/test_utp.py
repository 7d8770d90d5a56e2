"""uTP with libtorrent: nothing else allowed on either side, both roles, and mixed with TCP."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.interop.clients import LibtorrentClient, running
from tests.interop.content import single_file
from tests.interop.leg import TRANSFER_S
from tests.interop.seedwright import SeedwrightClient

lt = pytest.importorskip("libtorrent", reason="pip install libtorrent")

pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

UTP_ONLY: Mapping[str, Any] = {
    "enable_incoming_utp": True,
    "enable_outgoing_utp": True,
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
}
BOTH: Mapping[str, Any] = {"enable_incoming_utp": True, "enable_outgoing_utp": True}
SIZE = 24_000_000


@pytest.mark.parametrize("theirs", ["utp", "both"])
@pytest.mark.parametrize("ours", ["utp", "both"])
async def test_we_fetch_from_libtorrent(tmp_path: Path, theirs: str, ours: str) -> None:
    content = single_file([], size_bytes=SIZE)
    seeder = LibtorrentClient(settings=UTP_ONLY if theirs == "utp" else BOTH)
    leecher = SeedwrightClient(settings={"network.transports": ours})
    async with running(seeder, tmp_path / "seeder"), running(leecher, tmp_path / "leecher"):
        source = content.write(tmp_path / "source")
        info_hash = await seeder.add(content.torrent, source, seed=True)
        await seeder.wait_complete(info_hash, TRANSFER_S)
        target = tmp_path / "target"
        await leecher.add(content.torrent, target, peers=[seeder.endpoint])
        await leecher.wait_complete(info_hash, TRANSFER_S)
        content.check(target)


@pytest.mark.parametrize("theirs", ["utp", "both"])
@pytest.mark.parametrize("ours", ["utp", "both"])
async def test_libtorrent_fetches_from_us(tmp_path: Path, theirs: str, ours: str) -> None:
    content = single_file([], size_bytes=SIZE)
    seeder = SeedwrightClient(settings={"network.transports": ours})
    leecher = LibtorrentClient(settings=UTP_ONLY if theirs == "utp" else BOTH)
    async with running(seeder, tmp_path / "seeder"), running(leecher, tmp_path / "leecher"):
        source = content.write(tmp_path / "source")
        info_hash = await seeder.add(content.torrent, source, seed=True)
        await seeder.wait_complete(info_hash, TRANSFER_S)
        await leecher.add(content.torrent, tmp_path / "target", peers=[seeder.endpoint])
        await leecher.wait_complete(info_hash, TRANSFER_S)
        content.check(tmp_path / "target")


async def test_a_swarm_of_both_kinds_over_utp(tmp_path: Path) -> None:
    content = single_file([], size_bytes=6_000_000)
    publisher = LibtorrentClient(settings=UTP_ONLY)
    ours = SeedwrightClient(settings={"network.transports": "utp"})
    another = LibtorrentClient(settings=UTP_ONLY)
    async with (
        running(publisher, tmp_path / "publisher"),
        running(ours, tmp_path / "ours"),
        running(another, tmp_path / "another"),
    ):
        source = content.write(tmp_path / "source")
        info_hash = await publisher.add(content.torrent, source, seed=True)
        await publisher.wait_complete(info_hash, TRANSFER_S)
        # Only through us: the second libtorrent knows nobody else.
        await ours.add(content.torrent, tmp_path / "first", peers=[publisher.endpoint])
        await another.add(content.torrent, tmp_path / "second", peers=[ours.endpoint])
        await ours.wait_complete(info_hash, TRANSFER_S)
        await another.wait_complete(info_hash, TRANSFER_S)
        content.check(tmp_path / "first")
        content.check(tmp_path / "second")
