"""Peer exchange and local discovery in the list of trackers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.control.peer_source_rows import peer_source_rows
from engine.control.schema import TrackerRow, TrackerState
from engine.core.compact import Endpoint
from engine.core.metainfo import Metainfo
from engine.session.session import Session
from engine.swarm.peer_list import PeerSource
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import LOOPBACK, running, until_state
from tests.storage.torrents import Sample, sample

EVERYTHING = replace(LOOPBACK, lsd=True)
CONTENT = sample(100_000)


async def rows_of(session: Session, content: Sample, folder: Path) -> list[TrackerRow]:
    torrent = await session.add(Metainfo(content.info), save_path=folder)
    await until_state(session, torrent, State.DOWNLOADING)
    torrent.found_peers([Endpoint("127.0.0.1", 1)], PeerSource.PEX)
    rows = peer_source_rows(session, torrent)
    torrent.pause()
    assert {row.state for row in peer_source_rows(session, torrent)} <= {TrackerState.IDLE}
    return rows


async def test_they_tell_how_many_peers_they_found(tmp_path: Path) -> None:
    async with running(EVERYTHING) as session:
        rows = await rows_of(session, CONTENT, tmp_path)
    assert [(row.url, row.tier, row.state, row.peers) for row in rows] == [
        ("PEX", -1, TrackerState.WORKING, 1),
        ("LSD", -1, TrackerState.WORKING, 0),
    ]
    assert [row.message for row in rows] == ["1 peer", "0 peers"]


async def test_of_a_private_torrent_they_say_why_not(tmp_path: Path) -> None:
    async with running(EVERYTHING) as session:
        rows = await rows_of(session, sample(100_000, is_private=True), tmp_path)
    assert {row.message for row in rows} == {"not used: the torrent is private"}
    assert {row.state for row in rows} == {TrackerState.IDLE}


async def test_what_is_off_is_not_listed(tmp_path: Path) -> None:
    async with running(replace(EVERYTHING, limits=Limits(is_isolated=True))) as session:
        assert await rows_of(session, CONTENT, tmp_path / "1") == []
    async with running(replace(LOOPBACK, limits=Limits(pex=False))) as session:
        assert await rows_of(session, CONTENT, tmp_path / "2") == []
