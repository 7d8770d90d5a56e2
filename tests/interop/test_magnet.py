"""Magnet links between seedwright and other clients: metadata first, then every byte.

The torrents have an info dictionary of several metadata pieces.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.session.session import Session
from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import endpoint_of, seeding, until
from tests.end_to_end.rig import running as session_running
from tests.interop.clients import (
    Aria2Client,
    Client,
    LibtorrentClient,
    TransmissionClient,
    require,
    running,
)
from tests.interop.content import Content
from tests.interop.leg import TRANSFER_S
from tests.storage.torrents import Layout, sample

pytestmark = pytest.mark.timeout(200)

KINDS: list[type[Client]] = [LibtorrentClient, TransmissionClient, Aria2Client]


def _name(kind: type[Client]) -> str:
    return kind.name


def long_content() -> tuple[Content, Metainfo]:
    """Many files with long names: an info dictionary of several metadata pieces."""
    made = sample([Layout(f"{number:04} {'x' * 60}", 1000) for number in range(500)], name="long")
    metainfo = Metainfo(made.info)
    assert len(made.info.raw) > 2 * 16384
    files = {entry.path: made.content_of(number) for number, entry in enumerate(made.info.files)}
    return Content(metainfo.encode(), made.info.name, files), metainfo


async def _until_seeding(session: Session, torrent: Torrent) -> None:
    try:
        await until(session, lambda: torrent.state is State.SEEDING)
    except AssertionError as error:
        raise AssertionError(f"{torrent.state} {torrent.error} {torrent.log_lines}") from error


@pytest.mark.parametrize("kind", KINDS, ids=_name)
async def test_we_fetch_from_them(tmp_path: Path, kind: type[Client]) -> None:
    require(kind)
    content, metainfo = long_content()
    other = kind()
    async with running(other, tmp_path / "other"), session_running() as session:
        await other.add(content.torrent, content.write(tmp_path / "source"), seed=True)
        await other.wait_complete(metainfo.info_hash, TRANSFER_S)
        link = Magnet(metainfo.info_hash, peers=(other.endpoint,))
        torrent = await session.add(link, save_path=tmp_path / "target")
        await _until_seeding(session, torrent)
        assert torrent.info.raw == metainfo.info.raw
        content.check(tmp_path / "target")


@pytest.mark.parametrize("in_link", [True, False], ids=["by the link", "dialled by us"])
async def test_libtorrent_fetches_from_us(tmp_path: Path, in_link: bool) -> None:
    require(LibtorrentClient)
    content, metainfo = long_content()
    other = LibtorrentClient()
    async with running(other, tmp_path / "other"), session_running() as session:
        ours = await seeding(session, metainfo, content.write(tmp_path / "source"))
        peers: tuple[Endpoint, ...] = (endpoint_of(session),) if in_link else ()
        link = str(Magnet(metainfo.info_hash, peers=peers))
        await other.add_magnet(link, tmp_path / "target")
        if not in_link:
            ours.add_peer(other.endpoint)
        await other.wait_complete(metainfo.info_hash, TRANSFER_S)
        content.check(tmp_path / "target")


async def test_transmission_fetches_from_us(tmp_path: Path) -> None:
    require(TransmissionClient)
    content, metainfo = long_content()
    other = TransmissionClient()
    async with running(other, tmp_path / "other"), session_running() as session:
        ours = await seeding(session, metainfo, content.write(tmp_path / "source"))
        await other.add_magnet(str(Magnet(metainfo.info_hash)), tmp_path / "target")
        ours.add_peer(other.endpoint)
        await other.wait_complete(metainfo.info_hash, TRANSFER_S)
        content.check(tmp_path / "target")


async def test_aria2_fetches_from_us(tmp_path: Path) -> None:
    """It tells trackers that nothing is left while it has no metadata, so that a tracker which
    hands out no seeds to seeds is no help: it is dialled."""
    require(Aria2Client)
    content, metainfo = long_content()
    other = Aria2Client()
    async with running(other, tmp_path / "other"), session_running() as session:
        ours = await seeding(session, metainfo, content.write(tmp_path / "source"))
        ours.add_peer(other.endpoint)
        await other.add_magnet(str(Magnet(metainfo.info_hash)), tmp_path / "target")
        await other.wait_complete(metainfo.info_hash, TRANSFER_S)
        content.check(tmp_path / "target")
