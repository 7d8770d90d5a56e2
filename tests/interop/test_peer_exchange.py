"""Peer exchange with libtorrent, both ways: two that nobody told of each other meet (BEP 11)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.session.session import Session
from engine.swarm.peer_list import PeerSource
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import LOOPBACK, endpoint_of, seeding, until, until_state
from tests.end_to_end.rig import running as session_running
from tests.interop.clients import LibtorrentClient, require, running
from tests.interop.content import Content
from tests.interop.leg import TRANSFER_S
from tests.storage.torrents import sample

pytestmark = pytest.mark.timeout(200)

MADE = sample(1_500_000)
META = Metainfo(MADE.info)
CONTENT = Content(META.encode(), MADE.info.name, {(MADE.info.name,): MADE.data})
SLOW = replace(LOOPBACK, down_limit=30_000, up_limit=5_000)
"""Has little and gives less, so that what arrives came from somebody else."""


def has_heard(torrent: Torrent, of: Session) -> bool:
    """Whether a torrent knows another engine by peer exchange."""
    known = torrent.live.peers.known if torrent.live else None
    return known is not None and known.source_of(endpoint_of(of)) is PeerSource.PEX


def is_met(torrent: Torrent) -> bool:
    """Whether it knows what a peer speaks; the peer then knows what we speak."""
    return torrent.live is not None and any(p.extension for p in torrent.live.peers.connected)


@pytest.mark.parametrize("by_link", [False, True], ids=["torrent", "magnet link"])
async def test_libtorrent_makes_us_meet(tmp_path: Path, by_link: bool) -> None:
    require(LibtorrentClient)
    middle = LibtorrentClient()
    async with (
        running(middle, tmp_path / "middle"),
        session_running() as a,
        session_running() as c,
    ):
        seed = await seeding(c, META, CONTENT.write(tmp_path / "c"))
        seed.set_limits(up=20_000)  # two who have everything would part
        await middle.add(CONTENT.torrent, tmp_path / "b", peers=[endpoint_of(c)])
        await until(c, lambda: is_met(seed))
        source = Magnet(META.info_hash) if by_link else META
        ours = await a.add(source, save_path=tmp_path / "a", peers=[middle.endpoint])
        # Both are told, and either may be the first to call.
        await until(a, lambda: has_heard(ours, c) or has_heard(seed, a))
        seed.set_limits(up=0)
        await until_state(a, ours, State.SEEDING)
        CONTENT.check(tmp_path / "a")


@pytest.mark.parametrize("by_link", [False, True], ids=["torrent", "magnet link"])
async def test_we_make_libtorrent_meet(tmp_path: Path, by_link: bool) -> None:
    require(LibtorrentClient)
    a, c = LibtorrentClient(), LibtorrentClient()
    async with (
        running(a, tmp_path / "of a"),
        running(c, tmp_path / "of c"),
        session_running(SLOW) as middle,
    ):
        await c.add(CONTENT.torrent, CONTENT.write(tmp_path / "c"), seed=True)
        await c.wait_complete(META.info_hash, TRANSFER_S)
        ours = await middle.add(META, save_path=tmp_path / "b", peers=[c.endpoint])
        if by_link:
            link = Magnet(META.info_hash, peers=(endpoint_of(middle),))
            await a.add_magnet(str(link), tmp_path / "a")
        else:
            await a.add(CONTENT.torrent, tmp_path / "a", peers=[endpoint_of(middle)])
        await a.wait_complete(META.info_hash, TRANSFER_S)
        CONTENT.check(tmp_path / "a")
        assert ours.state is State.DOWNLOADING
