"""Hole punching with libtorrent: as relay, as who asks, and as who is asked for (BEP 55)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.core.compact import Endpoint
from engine.core.metainfo import Metainfo
from engine.net.connection import Transport
from engine.torrent.lifecycle import State
from engine.torrent.peer import Peer
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import endpoint_of, seeding, until, until_state
from tests.end_to_end.rig import running as session_running
from tests.end_to_end.test_hole_punching import (
    BY_UTP,
    LOOPBACK,
    UP_LIMIT,
    address_of,
    call_nobody,
    walled,
)
from tests.interop.clients import LibtorrentClient, require, running
from tests.interop.content import Content
from tests.interop.leg import TRANSFER_S
from tests.storage.torrents import sample

pytestmark = pytest.mark.timeout(200)

MADE = sample(1_500_000)
META = Metainfo(MADE.info)
CONTENT = Content(META.encode(), MADE.info.name, {(MADE.info.name,): MADE.data})
UTP_ONLY: Mapping[str, Any] = {
    "enable_incoming_utp": True,
    "enable_outgoing_utp": True,
    "enable_incoming_tcp": False,
    "enable_outgoing_tcp": False,
}
"""As a relay libtorrent names the addresses that it sees: of who came by TCP, a port that leads
nowhere."""
IMPATIENT: Mapping[str, Any] = {
    "enable_incoming_utp": True,
    "enable_outgoing_utp": True,
    "peer_connect_timeout": 3,
}


def connected(torrent: Torrent, to: Endpoint) -> list[Peer]:
    if torrent.live is None:
        return []
    peers = torrent.live.peers.connected
    return [each for each in peers if to in (each.dial_address, each.connection.remote)]


async def test_libtorrent_introduces_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(LibtorrentClient)
    relay = LibtorrentClient(settings=UTP_ONLY)
    async with (
        running(relay, tmp_path / "relay"),
        walled(BY_UTP) as (b, wall_of_b),
        walled(BY_UTP) as (a, _),
    ):
        await relay.add(CONTENT.torrent, tmp_path / "of relay")
        at_b = await seeding(b, META, CONTENT.write(tmp_path / "b"))
        b.set_limits(up=UP_LIMIT)
        at_b.add_peer(relay.endpoint)
        await until(b, lambda: bool(connected(at_b, relay.endpoint)))
        call_nobody(at_b, monkeypatch)
        at_a = await a.add(META, save_path=tmp_path / "a", peers=[relay.endpoint])
        await until(a, lambda: bool(connected(at_a, address_of(b))), "A and B have met")
        assert address_of(a) in wall_of_b.dropped
        b.set_limits(up=0)
        await until_state(a, at_a, State.SEEDING)
        CONTENT.check(tmp_path / "a")


async def test_libtorrent_asks_us_to_introduce_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(LibtorrentClient)
    a = LibtorrentClient(settings=IMPATIENT)
    async with (
        running(a, tmp_path / "of a"),
        session_running(LOOPBACK) as relay,
        walled(LOOPBACK) as (b, wall_of_b),
    ):
        await relay.add(META, save_path=tmp_path / "relay")
        at_b = await seeding(b, META, CONTENT.write(tmp_path / "b"))
        b.set_limits(up=UP_LIMIT)
        at_b.add_peer(endpoint_of(relay))
        await until(b, lambda: bool(connected(at_b, endpoint_of(relay))))
        call_nobody(at_b, monkeypatch)
        await a.add(CONTENT.torrent, tmp_path / "a", peers=[endpoint_of(relay)])
        await until(b, lambda: bool(connected(at_b, a.endpoint)), "libtorrent and B have met")
        assert a.endpoint in wall_of_b.dropped
        assert {each.connection.transport for each in connected(at_b, a.endpoint)} == {
            Transport.UTP
        }
        b.set_limits(up=0)
        await a.wait_complete(META.info_hash, TRANSFER_S)
        CONTENT.check(tmp_path / "a")


async def test_libtorrent_is_asked_for(tmp_path: Path) -> None:
    require(LibtorrentClient)
    b = LibtorrentClient(settings=IMPATIENT)
    async with (
        running(b, tmp_path / "of b"),
        session_running(LOOPBACK) as relay,
        session_running(LOOPBACK) as bystander,
        walled(BY_UTP, beyond=[b.endpoint]) as (a, wall_of_both),
    ):
        at_relay = await relay.add(META, save_path=tmp_path / "relay")
        by = await bystander.add(META, save_path=tmp_path / "by", peers=[endpoint_of(relay)])
        await until(bystander, lambda: bool(connected(by, endpoint_of(relay))))
        await b.add(CONTENT.torrent, CONTENT.write(tmp_path / "b"), seed=True)
        await b.wait_complete(META.info_hash, TRANSFER_S)
        b._handles[META.info_hash].set_upload_limit(UP_LIMIT)
        at_relay.add_peer(b.endpoint)
        # B hears of the bystander before A comes, and of A itself a minute later only.
        await until(
            relay,
            lambda: any(
                each.telling is not None and each.telling.told
                for each in connected(at_relay, b.endpoint)
            ),
            "B is told of the bystander",
        )
        at_a = await a.add(META, save_path=tmp_path / "a", peers=[endpoint_of(relay)])
        await until(a, lambda: bool(connected(at_a, b.endpoint)), "A and libtorrent have met")
        assert b.endpoint in wall_of_both.dropped
        b._handles[META.info_hash].set_upload_limit(0)
        await until_state(a, at_a, State.SEEDING)
        CONTENT.check(tmp_path / "a")
