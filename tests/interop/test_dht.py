"""The DHT between seedwright and libtorrent: no tracker and no address, one node in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.swarm.peer_list import PeerSource
from engine.torrent.lifecycle import State
from tests.end_to_end.dht_rig import dht_options, is_announced
from tests.end_to_end.rig import running as session_running
from tests.end_to_end.rig import seeding, until
from tests.interop.clients import LibtorrentClient, require, running
from tests.interop.content import Content
from tests.interop.leg import TRANSFER_S
from tests.storage.torrents import sample

pytestmark = pytest.mark.timeout(200)

DHT: dict[str, Any] = {
    "enable_dht": True,
    "dht_bootstrap_nodes": "",
    # On loopback all nodes have one address, which it takes for an attack.
    "dht_restrict_routing_ips": False,
    "dht_restrict_search_ips": False,
    "dht_prefer_verified_node_ids": False,
    "dht_enforce_node_id": False,
    "dht_ignore_dark_internet": False,
    "dht_announce_interval": 1,
}


def _content() -> tuple[Content, Metainfo]:
    made = sample(500_000, 32768)
    metainfo = Metainfo(made.info)
    files = {entry.path: made.content_of(number) for number, entry in enumerate(made.info.files)}
    return Content(metainfo.encode(), made.info.name, files), metainfo


async def test_we_find_libtorrent(tmp_path: Path) -> None:
    require(LibtorrentClient)
    content, metainfo = _content()
    other = LibtorrentClient(settings=DHT)
    async with (
        session_running(dht_options()) as node,
        running(other, tmp_path / "other"),
        session_running(dht_options(node)) as session,
    ):
        other.add_node(node.udp.endpoints[0])
        await other.add(content.torrent, content.write(tmp_path / "source"), seed=True)
        await other.wait_complete(metainfo.info_hash, TRANSFER_S)
        await until(node, lambda: is_announced(node), "libtorrent announces nothing")
        torrent = await session.add(Magnet(metainfo.info_hash), save_path=tmp_path / "target")
        sources: set[PeerSource] = set()

        def look(_: object) -> None:
            peers = torrent.live.peers.connected if torrent.live else ()
            sources.update(peer.source for peer in peers)

        session.on_change.append(look)
        await until(session, lambda: torrent.state is State.SEEDING)
        assert PeerSource.DHT in sources
        content.check(tmp_path / "target")


async def test_libtorrent_finds_us(tmp_path: Path) -> None:
    require(LibtorrentClient)
    content, metainfo = _content()
    other = LibtorrentClient(settings=DHT)
    async with (
        session_running(dht_options()) as node,
        running(other, tmp_path / "other"),
        session_running(dht_options(node)) as session,
    ):
        other.add_node(node.udp.endpoints[0])
        await seeding(session, metainfo, content.write(tmp_path / "source"))
        await until(node, lambda: is_announced(node))
        link = str(Magnet(metainfo.info_hash))
        info_hash = await other.add_magnet(link, tmp_path / "target")
        await other.wait_complete(info_hash, TRANSFER_S)
        content.check(tmp_path / "target")


async def test_a_libtorrent_node_serves_two_of_us(tmp_path: Path) -> None:
    """The node in common is theirs: it keeps what we announce, and gives it to another of us."""
    require(LibtorrentClient)
    content, metainfo = _content()
    other = LibtorrentClient(settings=DHT)
    async with (
        running(other, tmp_path / "other"),
        session_running(dht_options()) as seed,
        session_running(dht_options()) as leecher,
    ):
        for session in (seed, leecher):
            session.dht.add(other.endpoint)
            await until(session, lambda session=session: bool(session.dht.joined))  # type: ignore[misc]
        await seeding(seed, metainfo, content.write(tmp_path / "source"))
        record = seed.dht_announcing.record_of(seed.torrents[metainfo.info_hash])
        assert record is not None
        await until(seed, lambda: record.searched_at is not None)
        torrent = await leecher.add(Magnet(metainfo.info_hash), save_path=tmp_path / "target")
        await until(leecher, lambda: torrent.state is State.SEEDING)
        content.check(tmp_path / "target")
