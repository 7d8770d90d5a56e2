"""The handshake's bit and the `port` message, and neither of private torrents (BEP 5, 27)."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.core.metainfo import Info
from engine.session.options import DhtOptions
from engine.torrent.dht_door import NoDht, our_reserved
from engine.wire.handshake import OUR_RESERVED
from tests.end_to_end.dht_rig import dht_options
from tests.end_to_end.rig import running
from tests.fakes import scripted_peer as wire
from tests.storage.torrents import sample
from tests.torrent.one_torrent import CONTENT, one_torrent

PORT = 9
WITH_DHT = bytes(5) + b"\x10\x00\x05"
ON = DhtOptions(is_enabled=True)


class Node(NoDht):
    port = 6881


def test_the_bit_is_set_when_there_is_a_node_and_the_torrent_is_public() -> None:
    assert our_reserved(NoDht(), is_private=False) == OUR_RESERVED
    assert our_reserved(Node(), is_private=True) == OUR_RESERVED
    assert our_reserved(Node(), is_private=False)[7] & 1


async def _said_before_choke(peer: wire.ScriptedPeer) -> dict[int, bytes]:
    """All that is said till the engine answers a request for what it does not give."""
    peer.send(wire.frame(wire.INTERESTED))
    said = {}
    while wire.UNCHOKE not in said:
        message = await peer.next()
        said[message.id] = message.payload
    return said


async def test_who_has_a_node_is_told_our_port(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True, dht=ON) as one:
        peer = await one.visitor(reserved=WITH_DHT)
        said = await _said_before_choke(peer)
        assert said[PORT] == struct.pack(">H", one.session.udp.port)


@pytest.mark.parametrize("dht", [ON, DhtOptions()])
async def test_who_has_none_is_told_nothing(tmp_path: Path, dht: DhtOptions) -> None:
    async with one_torrent(tmp_path, has=True, dht=dht) as one:
        reserved = wire.ALL if dht.is_enabled else WITH_DHT
        said = await _said_before_choke(await one.visitor(reserved=reserved))
        assert PORT not in said


async def test_who_tells_us_a_port_is_asked_there(tmp_path: Path) -> None:
    async with running(dht_options()) as other, one_torrent(tmp_path, dht=ON) as one:
        peer = await one.visitor(reserved=WITH_DHT)
        peer.send(wire.frame(PORT, struct.pack(">H", other.udp.port)))
        await one.until(lambda: one.session.dht.node_count == 1)
        assert await one.session.dht.ping(Endpoint("127.0.0.1", other.udp.port))


async def test_of_a_private_torrent_no_port_is_said_nor_heard(tmp_path: Path) -> None:
    raw = CONTENT.info.raw[:-1] + b"7:privatei1ee"
    private = sample(1)
    private = type(private)(Info.parse(raw), CONTENT.data)
    async with (
        running(dht_options()) as other,
        one_torrent(tmp_path, has=True, content=private, dht=ON) as one,
    ):
        peer = await one.visitor(reserved=WITH_DHT)
        peer.send(wire.frame(PORT, struct.pack(">H", other.udp.port)))
        said = await _said_before_choke(peer)
        assert PORT not in said
        assert not other.dht.nodes[False].counters.received
        assert not one.session.dht.node_count
