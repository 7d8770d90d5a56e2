"""By either name a torrent is found while it takes peers, and never after."""

from __future__ import annotations

from pathlib import Path

from engine.core.metainfo import Metainfo
from engine.session.wire_index import WireIndex
from engine.wire.encryption import skey_mark
from tests.end_to_end.rig import running, seeding
from tests.storage.torrents import sample


async def test_both_names_lead_to_the_torrent_while_it_runs(tmp_path: Path) -> None:
    async with running() as session:
        torrents = []
        for name in "ab":
            content = sample(1000, name=name)
            content.store(tmp_path)
            torrents.append(await seeding(session, Metainfo(content.info), tmp_path))
        index = WireIndex()
        for torrent in torrents:
            index.add(torrent)
        for torrent in torrents:
            wire_hash = bytes(torrent.info_hash)
            assert index.find(wire_hash) is index.find_marked(skey_mark(wire_hash)) is torrent
            assert index.find(skey_mark(wire_hash)) is None
        first = torrents[0]
        wire_hash = bytes(first.info_hash)
        first.pause()
        assert index.find(wire_hash) is index.find_marked(skey_mark(wire_hash)) is None
        assert index.get(wire_hash) is first
        first.start()
        index.remove(first)
        index.remove(first)
        assert index.find(wire_hash) is index.find_marked(skey_mark(wire_hash)) is None
        assert index.find(bytes(torrents[1].info_hash)) is torrents[1]
