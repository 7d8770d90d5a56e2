"""Peer exchange of one torrent, with scripted peers: what they are told, and what they may tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core import bencode
from engine.core.compact import Endpoint
from engine.session.session import Session
from engine.swarm.peer_list import PeerList, PeerSource
from engine.swarm.pex_exchange import INTERVAL_S
from engine.torrent.facilities import Limits
from engine.torrent.peer_exchange import PEX_EXT_ID
from engine.wire import ut_pex
from engine.wire.ut_pex import PexFlags, PexMessage, PexPeer
from tests.fakes import scripted_peer as wire
from tests.fakes.metadata_giver import extended
from tests.fakes.scripted_peer import ScriptedPeer, frame, listening
from tests.storage.torrents import sample
from tests.torrent.one_torrent import ALL, OneTorrent, bits, one_torrent

THEIRS = 9
"""The id that the scripted side hands out."""
PRIVATE = sample(100_000, is_private=True)


def hello(port: int | None = None, ext_id: int = THEIRS) -> bytes:
    said: dict[str, bencode.Encodable] = {"m": {"ut_pex": ext_id}}
    return extended(0, said if port is None else {**said, "p": port})


def telling(*peers: Endpoint, flags: int = 0) -> bytes:
    told = tuple(PexPeer(peer, PexFlags(flags)) for peer in peers)
    payload = ut_pex.encode(PexMessage(told))
    return frame(wire.EXTENSION, bytes([PEX_EXT_ID]) + payload)


async def next_told(peer: ScriptedPeer) -> PexMessage:
    while True:
        said = await peer.until(wire.EXTENSION)
        if said.payload[0] == THEIRS:
            return ut_pex.decode(said.payload[1:])


async def offered(peer: ScriptedPeer) -> dict[bytes, bencode.Value]:
    said = await peer.until(wire.EXTENSION)
    assert said.payload[0] == 0
    ids = bencode.decode_dict(said.payload[1:])[b"m"]
    assert isinstance(ids, dict)
    return ids


def source_of(session: Session, torrent: OneTorrent, address: Endpoint) -> PeerSource | None:
    known: PeerList = torrent.live.peers.known
    return known.source_of(address) if address in known else None


def a_minute_later(one: OneTorrent, times: int = 1) -> None:
    """Let the torrent believe that time has passed, and turn once."""
    exchange = one.live.exchange
    assert exchange is not None
    exchange.tick(one.live.now() + times * (INTERVAL_S + 3))


async def test_peers_hear_of_each_other(tmp_path: Path) -> None:
    """Of those that said where they listen; nobody is told of itself."""
    async with one_torrent(tmp_path) as one:
        first = await one.visitor(1, has=bits(1))
        first.send(hello(4001))
        silent = await one.visitor(2, has=bits(1))
        silent.send(hello())
        seed = await one.visitor(3, has=ALL)
        seed.send(hello(4003))
        await one.until(lambda: one.known(3).is_seed and one.known(3).listens_at is not None)
        await one.until(lambda: one.known(1).telling is not None)
        a_minute_later(one)
        told = await next_told(first)
        assert told.added == (PexPeer(Endpoint("127.0.0.1", 4003), PexFlags.SEED),)
        told = await next_told(seed)
        assert told.added == (PexPeer(Endpoint("127.0.0.1", 4001)),)
        assert len((await next_told(silent)).added) == 2
        await seed.close()
        await one.until(lambda: one.peer(3) is None)
        a_minute_later(one, 2)
        assert await next_told(first) == PexMessage((), (Endpoint("127.0.0.1", 4003),))


async def test_who_was_dialled_is_told_as_reachable(tmp_path: Path) -> None:
    async def script(peer: ScriptedPeer) -> None:
        received = await peer.read(68)
        peer.send(wire.PROTOCOL + wire.ALL + received[28:48] + b"-XX0000-dialled.....")
        await peer.hangup()

    async with one_torrent(tmp_path) as one, listening(script) as address:
        one.torrent.add_peer(address)
        await one.until(lambda: any(not p.is_incoming for p in one.live.peers.connected))
        visitor = await one.visitor()
        visitor.send(hello())
        assert (await next_told(visitor)).added == (PexPeer(address, PexFlags.REACHABLE),)


async def test_who_can_punch_holes_is_told_as_such(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        able = await one.visitor(1)
        able.send(extended(0, {"m": {"ut_holepunch": 3}, "p": 4001}))
        await one.until(lambda: one.known(1).listens_at is not None)
        visitor = await one.visitor(2)
        visitor.send(hello())
        told = await next_told(visitor)
        assert told.added == (PexPeer(Endpoint("127.0.0.1", 4001), PexFlags.HOLEPUNCH),)


async def test_who_does_not_speak_it_is_told_nothing(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        other = await one.visitor(1)
        other.send(hello(4001))
        taken_back = await one.visitor(2)
        taken_back.send(hello(4002), hello(ext_id=0))
        mute = await one.visitor(3)
        await one.until(lambda: one.known(2).listens_at is not None)
        a_minute_later(one)
        assert len((await next_told(other)).added) == 1
        for peer in (taken_back, mute):
            assert await peer.is_alive()
            peer.writer.close()
            assert not [said async for said in peer.messages() if said.payload[:1] == b"\x09"]


async def test_what_peers_tell_is_dialled(tmp_path: Path) -> None:
    is_dialled = False

    async def script(peer: ScriptedPeer) -> None:
        nonlocal is_dialled
        is_dialled = True
        await peer.hangup()

    async with one_torrent(tmp_path) as one, listening(script) as address:
        visitor = await one.visitor()
        visitor.send(telling(address, Endpoint("127.0.0.1", 1)))
        await one.until(lambda: is_dialled)
        assert source_of(one.session, one, address) is PeerSource.PEX
        assert one.live.peers.known.learned[PeerSource.PEX] == 2


async def test_a_seed_does_not_dial_seeds(tmp_path: Path) -> None:
    async with one_torrent(tmp_path, has=True) as one:
        visitor = await one.visitor(has=bits(0))
        seed, leecher = Endpoint("127.0.0.1", 2), Endpoint("127.0.0.1", 3)
        visitor.send(telling(seed, flags=PexFlags.SEED), telling(leecher))
        await one.until(lambda: leecher in one.live.peers.known)
        assert seed not in one.live.peers.known


async def test_seeds_that_a_leecher_hears_of_are_kept_in_mind(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor(has=bits(0))
        seed = Endpoint("127.0.0.1", 2)
        visitor.send(telling(seed, flags=PexFlags.SEED))
        known = one.live.peers.known
        await one.until(lambda: seed in known)
        later = one.live.now() + 3600
        await one.until(lambda: seed in known.candidates(later, 9))
        assert seed not in known.candidates(later, 9, seeding=True)


async def test_our_own_address_is_no_news(tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        ours = one.session.incoming.listener.endpoints[0]
        other = Endpoint("127.0.0.1", 3)
        visitor = await one.visitor()
        visitor.send(telling(ours, other))
        await one.until(lambda: other in one.live.peers.known)
        assert ours not in one.live.peers.known


@pytest.mark.parametrize(
    "payload",
    [b"", b"i1e", b"d5:added5:12345e", b"d5:addedi3ee", b"d5:added20000:" + bytes(20000) + b"e"],
)
async def test_garbage_costs_the_connection(payload: bytes, tmp_path: Path) -> None:
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor()
        visitor.send(frame(wire.EXTENSION, bytes([PEX_EXT_ID]) + payload))
        await visitor.hangup()


async def test_a_flood_is_ignored_then_cut_off(tmp_path: Path) -> None:
    """However much one peer tells, the list holds little of it, and none of another network."""
    async with one_torrent(tmp_path) as one:
        visitor = await one.visitor()
        known = one.live.peers.known
        for batch in range(60):
            hosts = [f"127.{batch}.{number}.1" for number in range(1, 200)]
            visitor.send(telling(*(Endpoint(host, 1) for host in hosts)))
        await visitor.hangup()
        await one.until(lambda: one.peer() is None)
        assert known.learned[PeerSource.PEX] <= 200


@pytest.mark.parametrize(
    ("content", "limits"),
    [
        (PRIVATE, Limits()),
        (sample(100_000), Limits(is_isolated=True)),
        (sample(100_000), Limits(pex=False)),
    ],
    ids=["private", "isolated", "switched off"],
)
async def test_where_it_is_off_it_is_neither_offered_nor_heard(
    content: object, limits: Limits, tmp_path: Path
) -> None:
    async with one_torrent(tmp_path, content=content, limits=limits) as one:  # type: ignore[arg-type]
        visitor = await one.visitor(1)
        assert set(await offered(visitor)) == {b"ut_metadata"}
        visitor.send(hello(4001), telling(Endpoint("127.0.0.1", 3)))
        other = await one.visitor(2)
        other.send(hello(4002))
        await one.until(lambda: one.known(1).extension is not None)
        await one.until(lambda: one.known(2).extension is not None)
        assert one.live.exchange is None
        one.live.tick(one.live.now() + INTERVAL_S)
        assert await visitor.is_alive()
        assert Endpoint("127.0.0.1", 3) not in one.live.peers.known
        assert one.known(1).telling is None
