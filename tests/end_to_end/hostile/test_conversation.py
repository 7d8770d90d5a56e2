"""Who breaks the rules of the conversation loses the connection, and harms nobody else."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core import bencode
from engine.core.metainfo import Metainfo
from engine.torrent.facilities import Limits
from tests.end_to_end.hostile.arena import BLOCK, PIECE, Arena
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.storage.torrents import sample

ILLEGAL = {
    "a 4 GiB message": b"\xff\xff\xff\xff",
    "a 4 GiB piece": b"\xff\xff\xff\xff\x07",
    "a message of 1 GiB": struct.pack(">IB", 1 << 30, 20),
    "a bitfield too short": wire.frame(wire.BITFIELD, b""),
    "a bitfield too long": wire.frame(wire.BITFIELD, bytes(2)),
    "a bitfield with spare bits": wire.frame(wire.BITFIELD, b"\x01"),
    "all and nothing": wire.frame(wire.HAVE_ALL) + wire.frame(wire.HAVE_NONE),
    "a have out of range": wire.numbers(wire.HAVE, 7),
    "a have far out of range": wire.numbers(wire.HAVE, 0xFFFFFFFF),
    "a have of no number": wire.frame(wire.HAVE),
    "a choke with a payload": wire.frame(wire.CHOKE, b"x"),
    "a request for nothing": wire.numbers(wire.REQUEST, 0, 0, 0),
    "a request for 4 GiB": wire.numbers(wire.REQUEST, 0, 0, 0xFFFFFFFF),
    "a request over the piece's end": wire.numbers(wire.REQUEST, 0, PIECE - 1, 2),
    "a request over the torrent's end": wire.numbers(wire.REQUEST, 6, 1000, 1),
    "a request for no piece": wire.numbers(wire.REQUEST, 7, 0, 1),
    "a cancel for no piece": wire.numbers(wire.CANCEL, 7, 0, 1),
    "a reject for no piece": wire.numbers(wire.REJECT, 7, 0, 1),
    "an allowed piece that is none": wire.numbers(wire.ALLOWED_FAST, 7),
    "a block nobody asked for": wire.piece(0, 0, bytes(BLOCK)),
    "a block that does not exist": wire.piece(7, 0, bytes(BLOCK)),
    "a block of no bytes": wire.piece(0, 0, b""),
    "a block of 2 MiB": struct.pack(">IBII", 9 + (1 << 21), 7, 0, 0),
    "joined blocks nobody asked for": wire.piece(0, 0, bytes(2 * BLOCK)),
    "an extension handshake of no bencode": wire.frame(wire.EXTENSION, b"\x00garbage"),
    "an extension handshake of deep lists": wire.frame(wire.EXTENSION, b"\x00" + b"l" * 5000),
    "an extension message without id": wire.frame(wire.EXTENSION),
}


@pytest.mark.parametrize("what", ILLEGAL)
async def test_an_illegal_message_ends_the_connection(leeching: Arena, what: str) -> None:
    """At once when it stands alone, and also when it comes right behind the handshake."""
    alone = await leeching.attacker()
    alone.send(ILLEGAL[what])
    await alone.hangup()
    behind = await leeching.stranger()
    behind.send(
        wire.PROTOCOL + wire.ALL + leeching.info_hash + b"-XX0000-anotherpeer1" + ILLEGAL[what]
    )
    await behind.hangup()
    await leeching.honest_transfer()


@pytest.mark.parametrize(
    "said",
    [
        wire.frame(wire.HAVE_ALL),
        wire.numbers(wire.REJECT, 0, 0, 1),
        wire.numbers(wire.ALLOWED_FAST, 0),
        wire.frame(wire.EXTENSION, b"\x00de"),
    ],
)
async def test_what_was_not_agreed_on_ends_the_connection(leeching: Arena, said: bytes) -> None:
    peer = await leeching.attacker(reserved=wire.PLAIN)
    peer.send(said)
    await peer.hangup()
    await leeching.honest_transfer()


async def test_messages_that_mean_nothing_to_us_are_skipped(leeching: Arena) -> None:
    peer = await leeching.attacker()
    for message_id in (*range(10, 13), *range(21, 256)):
        peer.send(wire.frame(message_id, bytes(message_id)))
    peer.send(bytes(4 * 1000), wire.frame(9, b"\x1a\xe1"), wire.frame(wire.EXTENSION, b"\xc8x"))
    assert await peer.is_alive()
    await leeching.honest_transfer()


async def test_a_slow_writer_gets_nowhere_and_harms_nobody(leeching: Arena) -> None:
    """One byte at a time, of a message that never ends."""
    peer = await leeching.stranger()
    hello = wire.PROTOCOL + wire.ALL + leeching.info_hash + b"-XX0000-scriptedpeer"
    for at in range(len(hello)):
        peer.send(hello[at : at + 1])
        await peer.writer.drain()
    await peer.read(68)
    block = struct.pack(">IBII", 9 + BLOCK, 7, 0, 0)
    for at in range(len(block)):
        peer.send(block[at : at + 1])
        await peer.writer.drain()
    await leeching.honest_transfer()


async def test_extension_handshakes_by_the_thousand(leeching: Arena) -> None:
    """They may not fill the list of addresses, whatever ports they name."""
    peer = await leeching.attacker()
    for number in range(5000):
        said = {"p": 1024 + number, "v": f"client {number}", "reqq": number, "m": {"x": 1}}
        peer.send(wire.frame(wire.EXTENSION, b"\x00" + bencode.encode(said)))
    assert await peer.is_alive()
    assert leeching.torrent.live is not None
    assert len(leeching.torrent.live.peers.known) == 1
    await leeching.honest_transfer()


async def test_a_flood_of_small_talk_is_only_read(leeching: Arena) -> None:
    peer = await leeching.attacker()
    mood = wire.frame(wire.INTERESTED) + wire.frame(wire.NOT_INTERESTED)
    grant = b"".join(wire.numbers(wire.ALLOWED_FAST, index) for index in range(7))
    choke = wire.frame(wire.UNCHOKE) + wire.frame(wire.CHOKE)
    peer.send(wire.frame(wire.HAVE_NONE), (mood + grant + choke) * 500)
    assert await peer.is_alive()
    await leeching.honest_transfer()


@pytest.mark.parametrize(
    "flood",
    [
        bytes(4),
        wire.frame(wire.INTERESTED) + wire.frame(wire.NOT_INTERESTED),
        wire.frame(wire.UNCHOKE) + wire.frame(wire.CHOKE),
        wire.numbers(wire.HAVE, 0),
        wire.numbers(wire.CANCEL, 0, 0, 1),
        wire.frame(wire.EXTENSION, b"\x00d1:mdee"),
        wire.frame(wire.EXTENSION, b"\x00d1:al" + b"le" * 250 + b"ee"),
        wire.frame(200, b"xyz"),
    ],
    ids=[
        "keep-alives",
        "interest",
        "chokes",
        "one have",
        "cancels",
        "handshakes",
        "long ones",
        "unknown",
    ],
)
async def test_who_never_stops_talking_is_hung_up_on(leeching: Arena, flood: bytes) -> None:
    peer = await leeching.attacker()
    peer.send(wire.frame(wire.HAVE_NONE), flood * 40_000)
    await peer.hangup()
    await leeching.honest_transfer()


async def test_the_same_peer_twice_is_one_connection(leeching: Arena) -> None:
    first = await leeching.attacker()
    second = await leeching.attacker()
    await second.hangup()
    assert await first.is_alive()
    assert leeching.open_connections == 1
    other = await leeching.attacker(peer_id=b"-XX0000-anotherpeer1")
    assert await other.is_alive()
    await leeching.honest_transfer()


async def test_no_more_than_the_limit_get_in(tmp_path: Path) -> None:
    limits = Limits(max_connections=5)
    content = sample(PIECE, PIECE)
    content.store(tmp_path)
    async with running(replace(LOOPBACK, limits=limits)) as victim:
        await seeding(victim, Metainfo(content.info), tmp_path)
        peers = [await ScriptedPeer.dial(endpoint_of(victim)) for _ in range(20)]
        for peer in peers[5:]:
            await peer.hangup()
        assert victim.facilities.connections.open == 5
        await peers[0].greet(content.info.info_hash)
        for peer in peers:
            await peer.close()
        await until(victim, lambda: victim.facilities.connections.open == 0)
