"""Hole punching of one torrent, with scripted peers: what they may ask, and where they send us."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from engine.core import bencode
from engine.core.compact import Endpoint
from engine.net.connection import Transport
from engine.swarm.hole_punching import GRANT_AT_ONCE, UNINVITED_AT_ONCE
from engine.torrent.facilities import Limits
from engine.torrent.hole_punching import HOLEPUNCH_EXT_ID
from engine.torrent.peer_exchange import PEX_EXT_ID
from engine.wire import ut_holepunch, ut_pex
from engine.wire.ut_holepunch import ErrorCode, HolepunchMessage, Kind
from engine.wire.ut_pex import PexFlags, PexMessage, PexPeer
from tests.end_to_end.rig import endpoint_of
from tests.fakes import scripted_peer as wire
from tests.fakes.metadata_giver import extended
from tests.fakes.scripted_peer import ScriptedPeer, frame
from tests.storage.torrents import sample
from tests.torrent.one_torrent import OneTorrent, bits, one_torrent

THEIRS = 7
"""The id that the scripted side hands out."""
TIMEOUT_S = 20.0


def hello(port: int | None = None, **ids: int) -> bytes:
    said: dict[str, bencode.Encodable] = {"m": ids or {"ut_holepunch": THEIRS}}
    return extended(0, said if port is None else {**said, "p": port})


def saying(kind: Kind, address: Endpoint, error: int = 0) -> bytes:
    payload = ut_holepunch.encode(HolepunchMessage(kind, address, error))
    return frame(wire.EXTENSION, bytes([HOLEPUNCH_EXT_ID]) + payload)


def telling(*peers: PexPeer) -> bytes:
    return frame(wire.EXTENSION, bytes([PEX_EXT_ID]) + ut_pex.encode(PexMessage(peers)))


async def next_said(peer: ScriptedPeer) -> HolepunchMessage | None:
    while True:
        said = await peer.until(wire.EXTENSION)
        if said.payload[0] == THEIRS:
            return ut_holepunch.decode(said.payload[1:])


async def offered(peer: ScriptedPeer) -> dict[bytes, bencode.Value]:
    said = await peer.until(wire.EXTENSION)
    assert said.payload[0] == 0
    ids = bencode.decode_dict(said.payload[1:])[b"m"]
    assert isinstance(ids, dict)
    return ids


async def speaker(one: OneTorrent, number: int, port: int | None = None) -> ScriptedPeer:
    """A visitor that speaks the extension, and listens on `port`."""
    peer = await one.visitor(number, has=bits(0))
    peer.send(hello(port))
    await one.until(lambda: one.known(number).acquaintance is not None)
    return peer


class Lane:
    """A UDP port that counts who knocks."""

    def __init__(self) -> None:
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.address = Endpoint(*self.socket.getsockname())

    async def knock(self) -> bytes:
        async with asyncio.timeout(TIMEOUT_S):
            return await asyncio.get_running_loop().sock_recv(self.socket, 2048)

    @property
    def has_knocks(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return bool(self.socket.recv(2048))
        return False


@contextlib.asynccontextmanager
async def lanes(count: int) -> AsyncIterator[list[Lane]]:
    made = [Lane() for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.socket.close()


def is_syn(packet: bytes) -> bool:
    return packet[:1] == b"\x41"


# ── whom it is offered to ───────────────────────────────────────────────────────────────────────


async def test_it_is_offered(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        assert (await offered(await one.visitor()))[b"ut_holepunch"] == HOLEPUNCH_EXT_ID


async def test_it_is_not_offered_where_it_cannot_be(tmp_path: Path) -> None:
    private = one_torrent(tmp_path / "a", content=sample(100_000, is_private=True))
    isolated = one_torrent(tmp_path / "b", limits=Limits(is_isolated=True))
    unsaid = one_torrent(tmp_path / "c", limits=Limits(pex=False))
    by_tcp = one_torrent(tmp_path / "d", transports=frozenset({Transport.TCP}))
    for each in (private, isolated, unsaid, by_tcp):
        async with each as one, lanes(1) as (lane,):
            visitor = await one.visitor()
            assert b"ut_holepunch" not in await offered(visitor)
            visitor.send(hello(), saying(Kind.CONNECT, lane.address))
            assert await visitor.is_alive()
            assert not lane.has_knocks


# ── as relay ────────────────────────────────────────────────────────────────────────────────────


async def test_two_peers_are_introduced(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        asker, target = await speaker(one, 1, 4001), await speaker(one, 2, 4002)
        wanted = Endpoint("127.0.0.1", 4002)
        await one.until(lambda: one.known(2).listens_at == wanted)
        await one.until(lambda: one.known(1).listens_at is not None)
        asker.send(saying(Kind.RENDEZVOUS, wanted))
        assert await next_said(asker) == HolepunchMessage(Kind.CONNECT, wanted)
        named = Endpoint("127.0.0.1", 4001)
        assert await next_said(target) == HolepunchMessage(Kind.CONNECT, named)


async def test_who_is_not_there_or_does_not_speak_it_is_not_introduced(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        asker = await speaker(one, 1, 4001)
        mute = await one.visitor(2)
        mute.send(hello(4002, ut_pex=3))
        await one.until(lambda: one.known(2).listens_at is not None)
        for wanted, code in (
            (Endpoint("192.0.2.1", 6881), ErrorCode.NOT_CONNECTED),
            (Endpoint("127.0.0.1", 4002), ErrorCode.NO_SUPPORT),
            (Endpoint("127.0.0.1", 4001), ErrorCode.NO_SELF),
            (endpoint_of(one.session), ErrorCode.NO_SELF),
            (Endpoint("127.0.0.1", 0), ErrorCode.NO_SUCH_PEER),
        ):
            asker.send(saying(Kind.RENDEZVOUS, wanted))
            assert await next_said(asker) == HolepunchMessage(Kind.ERROR, wanted, code)


async def test_who_does_not_speak_it_is_not_answered(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        mute = await one.visitor()
        mute.send(saying(Kind.RENDEZVOUS, Endpoint("192.0.2.1", 6881)))
        assert await mute.is_alive()
        mute.writer.close()
        assert not [each async for each in mute.messages() if each.payload[:1] == b"\x07"]


async def test_a_flood_of_wishes_is_answered_a_few_times(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        asker, target = await speaker(one, 1, 4001), await speaker(one, 2, 4002)
        await one.until(lambda: one.known(2).listens_at is not None)
        await one.until(lambda: one.known(1).listens_at is not None)
        asker.send(*[saying(Kind.RENDEZVOUS, Endpoint("127.0.0.1", 4002))] * 2000)
        for peer in (asker, target):
            answers = 0
            peer.send(wire.numbers(wire.REQUEST, 0, 0, 1))
            if peer is target:
                asker.send(wire.numbers(wire.REQUEST, 0, 0, 1))
            while (said := await peer.next()).id != wire.REJECT:
                answers += said.id == wire.EXTENSION and said.payload[0] == THEIRS
            assert answers <= GRANT_AT_ONCE + 1
        await one.until(lambda: one.known(1).acquaintance is not None)


async def test_what_is_no_message_costs_the_connection(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        peer = await speaker(one, 1)
        peer.send(frame(wire.EXTENSION, bytes([HOLEPUNCH_EXT_ID, 0, 9])))
        await peer.hangup()


# ── as target ───────────────────────────────────────────────────────────────────────────────────


async def test_who_is_named_is_dialled_by_utp(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one, lanes(1) as (lane,):
        relay = await speaker(one, 1)
        relay.send(saying(Kind.CONNECT, lane.address))
        assert is_syn(await lane.knock())
        known = one.live.peers.known
        assert lane.address not in known, "it is not called again if it does not answer"


async def test_who_is_connected_already_is_not_dialled(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one, lanes(2) as (ours, other):
        relay = await speaker(one, 1)
        await speaker(one, 2, ours.address.port)
        await one.until(lambda: one.known(2).listens_at is not None)
        relay.send(saying(Kind.CONNECT, ours.address), saying(Kind.CONNECT, other.address))
        assert is_syn(await other.knock())
        assert not ours.has_knocks


async def test_a_liar_cannot_send_us_to_many(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one, lanes(UNINVITED_AT_ONCE + 8) as named:
        relay = await speaker(one, 1)
        relay.send(*(saying(Kind.CONNECT, lane.address) for lane in named))
        assert await relay.is_alive()
        for lane in named[:UNINVITED_AT_ONCE]:
            assert is_syn(await lane.knock())
        assert not any(lane.has_knocks for lane in named[UNINVITED_AT_ONCE:])


# ── as who asks ─────────────────────────────────────────────────────────────────────────────────


async def test_the_peer_that_told_us_is_asked_and_its_word_followed(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one, lanes(1) as (lane,):
        relay = await speaker(one, 1)
        refused = Endpoint("127.0.0.1", lane.address.port)  # by TCP, and uTP is not answered
        relay.send(telling(PexPeer(refused, PexFlags.HOLEPUNCH)))
        assert is_syn(await lane.knock())
        assert await next_said(relay) == HolepunchMessage(Kind.RENDEZVOUS, refused)
        while lane.has_knocks:
            pass
        relay.send(saying(Kind.CONNECT, refused))
        assert is_syn(await lane.knock())


async def test_another_is_asked_when_one_refuses(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one, lanes(1) as (lane,):
        first, second = await speaker(one, 1), await speaker(one, 2)
        told = telling(PexPeer(lane.address, PexFlags.HOLEPUNCH))
        first.send(told)
        await one.until(lambda: lane.address in one.live.peers.known)
        second.send(told)
        wish = HolepunchMessage(Kind.RENDEZVOUS, lane.address)
        assert await next_said(first) == wish
        first.send(saying(Kind.ERROR, lane.address, ErrorCode.NOT_CONNECTED))
        assert await next_said(second) == wish


async def test_an_address_that_cannot_be_punched_is_asked_for_at_nobody(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one, lanes(2) as (plain, able):
        relay = await speaker(one, 1)
        relay.send(telling(PexPeer(plain.address), PexPeer(able.address, PexFlags.HOLEPUNCH)))
        assert await next_said(relay) == HolepunchMessage(Kind.RENDEZVOUS, able.address)
