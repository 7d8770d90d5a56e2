"""Engines that find each other through a third one only (BEP 11)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.core.compact import Endpoint
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.session.session import Session
from engine.swarm.peer_list import PeerSource
from engine.torrent.lifecycle import State
from engine.torrent.peer_exchange import PEX_EXT_ID
from engine.torrent.torrent import Torrent
from engine.wire import ut_pex
from engine.wire.ut_pex import PexMessage, PexPeer
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes.metadata_giver import Script, answer_handshake, hello
from tests.fakes.scripted_peer import EXTENSION, ScriptedPeer, frame, listening
from tests.storage.torrents import sample

CONTENT = sample(1_000_000)
META = Metainfo(CONTENT.info)
SLOW = replace(LOOPBACK, down_limit=30_000, up_limit=5_000)
"""Stays without most of it for the whole test, and gives next to nothing."""


def has_heard(torrent: Torrent, of: Session) -> bool:
    """Whether a torrent knows another engine by peer exchange."""
    known = torrent.live.peers.known if torrent.live else None
    return known is not None and known.source_of(endpoint_of(of)) is PeerSource.PEX


async def test_a_knows_b_and_b_knows_c_so_a_meets_c(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "c")
    async with running() as a, running(SLOW) as b, running() as c:
        at_c = await seeding(c, META, tmp_path / "c")
        at_b = await b.add(META, save_path=tmp_path / "b", peers=[endpoint_of(c)])
        at_a = await a.add(META, save_path=tmp_path / "a", peers=[endpoint_of(b)])
        await until_state(a, at_a, State.SEEDING)
        # Both are told, and either may be the first to call.
        await until(a, lambda: has_heard(at_a, c) or has_heard(at_c, a))
        assert at_b.state is State.DOWNLOADING
    assert (tmp_path / "a" / CONTENT.info.name).read_bytes() == CONTENT.data


async def test_a_magnet_link_by_peer_exchange_only(tmp_path: Path) -> None:
    """The only peer that the link names has next to nothing; it knows somebody who has."""
    CONTENT.store(tmp_path / "c")
    async with running() as a, running(SLOW) as b, running() as c:
        at_c = await seeding(c, META, tmp_path / "c")
        await b.add(META, save_path=tmp_path / "b", peers=[endpoint_of(c)])
        link = Magnet(CONTENT.info.info_hash, peers=(endpoint_of(b),))
        at_a = await a.add(link, save_path=tmp_path / "a")
        await until_state(a, at_a, State.SEEDING)
        await until(a, lambda: has_heard(at_a, c) or has_heard(at_c, a))
    assert (tmp_path / "a" / CONTENT.info.name).read_bytes() == CONTENT.data


def naming(*peers: Endpoint) -> Script:
    """A peer that has no metadata, and names peers."""

    async def script(peer: ScriptedPeer) -> None:
        await answer_handshake(peer)
        told = ut_pex.encode(PexMessage(tuple(PexPeer(each) for each in peers)))
        peer.send(hello(None), frame(EXTENSION, bytes([PEX_EXT_ID]) + told))
        await peer.hangup()

    return script


async def test_metadata_comes_from_who_is_named_meanwhile(tmp_path: Path) -> None:
    CONTENT.store(tmp_path / "c")
    async with running() as a, running() as c:
        await seeding(c, META, tmp_path / "c")
        async with listening(naming(endpoint_of(c))) as address:
            link = Magnet(CONTENT.info.info_hash, peers=(address,))
            at_a = await a.add(link, save_path=tmp_path / "a")
            await until_state(a, at_a, State.SEEDING)


async def test_a_private_torrent_forgets_who_was_named_meanwhile(tmp_path: Path) -> None:
    """Only its metadata tells that a torrent is private (BEP 27)."""
    content = sample(100_000, is_private=True)
    content.store(tmp_path / "c")
    async with running() as a, running() as c:
        await seeding(c, Metainfo(content.info), tmp_path / "c")
        async with listening(naming(endpoint_of(c))) as address:
            link = Magnet(content.info.info_hash, peers=(address,))
            at_a = await a.add(link, save_path=tmp_path / "a")
            await until(a, lambda: at_a.state is State.DOWNLOADING and at_a.live is not None)
            assert at_a.live is not None
            assert address in at_a.live.peers.known
            assert endpoint_of(c) not in at_a.live.peers.known
            assert not at_a.live.peers.known.learned[PeerSource.PEX]
