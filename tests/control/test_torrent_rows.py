"""One torrent as lists and details show it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.control.torrent_rows import peer_rows, torrent_info, torrent_row
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.session.session import Session
from tests.end_to_end.rig import running, seeding
from tests.storage.torrents import sample

TRACKER = "http://127.0.0.1:1/key/announce"


async def _link(session: Session, source: Metainfo | Magnet) -> str:
    torrent = await session.add(source, paused=True)
    told = session.load_metainfo(torrent.info_hash) if torrent.has_info else None
    return torrent_info(torrent, told).magnet


async def test_the_link_of_a_torrent_leads_to_it() -> None:
    metainfo = replace(
        Metainfo(sample(9, name="ä &b").info), trackers=((TRACKER,), ("udp://127.0.0.1:2",))
    )
    link = Magnet(sample(8).info.info_hash, "only a link", (TRACKER,))
    async with running() as session:
        found = Magnet.parse(await _link(session, metainfo))
        assert found.info_hash == metainfo.info_hash
        assert (found.name, found.trackers) == ("ä &b", (TRACKER, "udp://127.0.0.1:2"))
        assert Magnet.parse(await _link(session, link)) == link


async def test_no_link_leads_to_a_private_torrent() -> None:
    """And the address of its tracker, which often holds a key, is in none."""
    info = sample(9, is_private=True).info
    async with running() as session:
        assert await _link(session, replace(Metainfo(info), trackers=((TRACKER,),))) == ""


async def test_a_torrent_at_rest_has_a_row_and_no_peers(tmp_path: Path) -> None:
    content = sample(9)
    content.store(tmp_path)
    async with running() as session:
        torrent = await seeding(session, Metainfo(content.info), tmp_path)
        row = torrent_row(torrent)
        assert (row.size, row.have, row.peers, row.seeds) == (9, 9, 0, 0)
        assert peer_rows(torrent) == []
        info = torrent_info(torrent, None)
        assert (info.row, info.save_path, info.availability) == (row, str(tmp_path), 0.0)
