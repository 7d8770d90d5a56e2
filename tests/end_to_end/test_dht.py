"""Whole engines that have only the DHT in common: no tracker, no address that is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.storage.creator import create
from engine.swarm.peer_list import PeerSource
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from tests.end_to_end.dht_rig import dht_options, is_announced
from tests.end_to_end.rig import running, seeding, until, until_state
from tests.storage.torrents import sample

CONTENT = sample(300_000, 32768)


def publish_private(folder: Path) -> Metainfo:
    folder.mkdir()
    (folder / "secret").write_bytes(b"s" * 100_000)
    return create(folder / "secret", private=True)


async def test_a_magnet_link_finds_its_seed_through_a_node_that_both_know(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "seed")
    async with (
        running(dht_options()) as node,
        running(dht_options(node)) as seed,
        running(dht_options(node)) as leecher,
    ):
        await seeding(seed, Metainfo(CONTENT.info), tmp_path / "seed")
        await until(node, lambda: is_announced(node))
        link = Magnet(CONTENT.info.info_hash)
        torrent = await leecher.add(link, save_path=tmp_path / "target")
        await until_state(leecher, torrent, State.SEEDING)
        assert (tmp_path / "target" / "t").read_bytes() == (tmp_path / "seed" / "t").read_bytes()
        record = leecher.dht_announcing.record_of(torrent)
        assert record is not None


async def test_a_chain_of_nodes_leads_from_one_end_to_the_other(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "seed")
    async with (
        running(dht_options()) as first,
        running(dht_options(first)) as second,
        running(dht_options(second)) as third,
        running(dht_options(third)) as leecher,
    ):
        await seeding(first, Metainfo(CONTENT.info), tmp_path / "seed")
        torrent = await leecher.add(Metainfo(CONTENT.info), save_path=tmp_path / "target")
        await until(leecher, lambda: torrent.live is not None)
        await until_state(leecher, torrent, State.SEEDING)


async def test_a_private_torrent_sends_no_datagram(tmp_path: Path) -> None:
    private = publish_private(tmp_path / "seed")
    CONTENT.store(tmp_path / "seed-too")
    async with (
        running(dht_options()) as node,
        running(dht_options(node)) as seed,
        running(dht_options(node)) as leecher,
    ):
        hidden = await seeding(seed, private, tmp_path / "seed")
        fetching = await leecher.add(
            private,
            save_path=tmp_path / "target",
            peers=[seed.incoming.listener.endpoints[0]],
        )
        # Once the other one is announced, the private one would have been, too.
        await seeding(seed, Metainfo(CONTENT.info), tmp_path / "seed-too")
        await until_state(leecher, fetching, State.SEEDING)
        await until(node, lambda: is_announced(node))
        for engine in (seed, leecher):
            torrent = engine.torrents[private.info.info_hash]
            assert engine.dht_announcing.record_of(torrent) is None
            assert not torrent.announcer.asks_dht
        assert hidden.state is State.SEEDING
        for engine in (node, seed, leecher):
            assert not engine.dht.nodes[False].peers.peers(private.info.info_hash, 9, 0.0)


async def test_peers_tell_each_other_their_nodes(tmp_path: Path) -> None:
    """BEP 5's `port` message: two engines that share a torrent, and know no node."""
    CONTENT.store(tmp_path / "seed")
    async with running(dht_options()) as seed, running(dht_options()) as leecher:
        await seeding(seed, Metainfo(CONTENT.info), tmp_path / "seed")
        torrent = await leecher.add(
            Metainfo(CONTENT.info),
            save_path=tmp_path / "target",
            peers=[seed.incoming.listener.endpoints[0]],
        )
        await until_state(leecher, torrent, State.SEEDING)
        await until(leecher, lambda: leecher.dht.node_count == seed.dht.node_count == 1)


async def test_an_isolated_engine_has_no_node(tmp_path: Path) -> None:
    options = dht_options(limits=Limits(is_isolated=True))
    async with running(options) as session:
        assert not session.dht.is_running
        assert session.facilities.dht.port == 0
        torrent = await session.add(Magnet(CONTENT.info.info_hash), save_path=tmp_path)
        assert session.dht_announcing.record_of(torrent) is None


async def test_a_magnet_link_is_announced_only_when_it_is_known_not_to_be_private(
    tmp_path: Path,
) -> None:
    async with running(dht_options()) as node, running(dht_options(node)) as leecher:
        torrent = await leecher.add(Magnet(CONTENT.info.info_hash), save_path=tmp_path)
        record = leecher.dht_announcing.record_of(torrent)
        assert record is not None
        await until(leecher, lambda: record.searched_at is not None)
        assert not is_announced(node)


async def test_a_link_that_turns_out_private_is_never_announced(tmp_path: Path) -> None:
    private = publish_private(tmp_path / "seed")
    async with (
        running(dht_options()) as node,
        running() as seed,
        running(dht_options(node)) as leecher,
    ):
        await seeding(seed, private, tmp_path / "seed")
        at = seed.incoming.listener.endpoints[0]
        link = Magnet(private.info.info_hash, peers=(at,))
        torrent = await leecher.add(link, save_path=tmp_path / "target")
        await until_state(leecher, torrent, State.SEEDING)
        record = leecher.dht_announcing.record_of(torrent)
        assert record is None or (record.is_private and record.search is None)
        leecher.dht_announcing.announce_now(torrent)
        leecher.facilities.dht.want_peers(torrent.info_hash)
        assert record is None or record.search is None
        assert not is_announced(node)


async def test_id_and_contacts_survive_a_restart(tmp_path: Path) -> None:
    async with running(dht_options()) as node:
        async with running(dht_options(node), state_dir=tmp_path) as session:
            await until(session, lambda: bool(session.dht.joined))
            before = session.dht.nodes[False].node_id
        # Now without anybody to bootstrap by.
        async with running(dht_options(), state_dir=tmp_path) as session:
            assert session.dht.nodes[False].node_id == before
            await until(session, lambda: bool(session.dht.joined))
            assert session.downloaded == 0


async def test_found_peers_say_where_they_come_from(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "seed")
    async with (
        running(dht_options()) as node,
        running(replace(dht_options(node), up_limit=50_000)) as seed,
        running(dht_options(node)) as leecher,
    ):
        await seeding(seed, Metainfo(CONTENT.info), tmp_path / "seed")
        await until(node, lambda: is_announced(node))
        torrent = await leecher.add(Metainfo(CONTENT.info), save_path=tmp_path / "target")
        await until(leecher, lambda: bool(torrent.live and torrent.live.peers.connected))
        assert torrent.live is not None
        sources = {peer.source for peer in torrent.live.peers.connected}
        assert PeerSource.DHT in sources
