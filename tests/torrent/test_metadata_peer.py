"""One peer of a torrent without metadata: what is said to it, and what it may say."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from engine.core import bencode
from engine.core.magnet import Magnet
from engine.session.session import Session
from engine.swarm import small_talk
from engine.swarm.metadata_fetch import PIPELINE
from engine.torrent.lifecycle import State
from engine.torrent.metadata import MetadataSwarm
from engine.torrent.peer_exchange import PEX_EXT_ID
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import running, until
from tests.fakes.metadata_giver import (
    PIECE_BYTES,
    answer_handshake,
    data_of,
    extended,
    hello,
    next_extended,
)
from tests.fakes.scripted_peer import (
    EXTENDED,
    EXTENSION,
    HAVE_NONE,
    PLAIN,
    PROTOCOL,
    HungUpError,
    ScriptedPeer,
    frame,
    listening,
    numbers,
)
from tests.storage.torrents import sample

LARGE = sample(1_000_000, 256, name="many pieces")
RAW = LARGE.info.raw
OURS = 1
"""The id that the engine hands out."""

NONSENSE = {
    "no size": hello(None),
    "another extension": hello(100, name="ut_pex"),
    "switched off": extended(0, {"m": {"ut_metadata": 0}, "metadata_size": 100}),
    "peer exchange that is none": extended(PEX_EXT_ID, {"added": 3}),
    "peer exchange, torn": extended(PEX_EXT_ID, {"added": b"12345"}),
    "a piece unasked": extended(1, {"msg_type": 1, "piece": 0, "total_size": 5}, b"xxxxx"),
    "of the future": extended(1, {"msg_type": 9}),
    "a request": extended(1, {"msg_type": 0, "piece": 3}),
    "no type": extended(1, {"piece": 3}),
    "a piece too long": extended(1, {"msg_type": 1, "piece": 0}, bytes(PIECE_BYTES + 1)),
    "an empty block": b"\0\0\0\4\7\0\0\0",
    "an endless message": b"\xff\xff\xff\xff",
    "a block": b"\0\0\0\x0e\7" + bytes(8) + b"block",
}


@contextlib.asynccontextmanager
async def fetching(
    tmp_path: Path, script: Callable[[ScriptedPeer], Awaitable[None]]
) -> AsyncIterator[tuple[Session, Torrent]]:
    """A torrent that knows one peer, which it dials."""
    async with running() as session, listening(script) as peer:
        link = Magnet(LARGE.info.info_hash, peers=(peer,))
        yield session, await session.add(link, save_path=tmp_path)
        assert session.facilities.connections.dialling == 0


def swarm_of(torrent: Torrent) -> MetadataSwarm:
    assert torrent.fetching is not None
    return torrent.fetching


async def test_it_is_told_that_we_speak_metadata_and_have_nothing(tmp_path: Path) -> None:
    heard: list[object] = []

    async def script(peer: ScriptedPeer) -> None:
        await answer_handshake(peer)
        said = await peer.next()
        assert (said.id, said.payload[0]) == (EXTENSION, 0)
        hello_to_us = bencode.decode_dict(said.payload[1:])
        heard.append(hello_to_us[b"m"])
        heard.append(hello_to_us.get(b"metadata_size"))
        heard.append((await peer.next()).id)
        await peer.hangup()

    async with fetching(tmp_path, script) as (session, _):
        await until(session, lambda: len(heard) == 3)
    assert heard == [{b"ut_metadata": OURS, b"ut_pex": PEX_EXT_ID}, None, HAVE_NONE]


async def test_without_the_fast_extension_it_is_told_nothing_of_pieces(tmp_path: Path) -> None:
    heard: list[int] = []

    async def script(peer: ScriptedPeer) -> None:
        received = await peer.read(68)
        peer.send(PROTOCOL + EXTENDED + received[28:48] + b"-XX0000-slow........")
        heard.append((await peer.next()).id)
        peer.send(hello(len(RAW)))
        heard.append((await peer.next()).id)
        await peer.hangup()

    async with fetching(tmp_path, script) as (session, _):
        await until(session, lambda: len(heard) == 2)
    assert heard == [EXTENSION, EXTENSION]


async def test_pieces_are_asked_for_a_few_at_a_time(tmp_path: Path) -> None:
    asked: list[int] = []

    async def script(peer: ScriptedPeer) -> None:
        await answer_handshake(peer)
        await next_extended(peer)
        # Unlike ours, the id of others is any number.
        peer.send(extended(0, {"m": {"ut_metadata": 200}, "metadata_size": len(RAW)}))
        for _ in range(PIPELINE):
            ext_id, said, rest = await next_extended(peer)
            assert (ext_id, said[b"msg_type"], rest) == (200, 0, b"")
            piece = said[b"piece"]
            assert isinstance(piece, int)
            asked.append(piece)
        peer.send(extended(OURS, {"msg_type": 0, "piece": 0}))
        assert await next_extended(peer) == (200, {b"msg_type": 2, b"piece": 0}, b"")
        for piece in asked:
            peer.send(data_of(OURS, RAW, piece))
        _, said, _ = await next_extended(peer)
        peer.send(data_of(OURS, RAW, 4))
        asked.append(4 if said[b"piece"] == 4 else -1)
        await peer.hangup()

    async with fetching(tmp_path, script) as (session, torrent):
        await until(session, lambda: torrent.has_info)
        assert torrent.info.raw == RAW
    assert asked == [0, 1, 2, 3, 4]


async def test_what_it_says_of_pieces_is_not_looked_at(tmp_path: Path) -> None:
    async def script(peer: ScriptedPeer) -> None:
        await answer_handshake(peer)
        for number in (1, 4, 6, 8, 13, 15, 17):
            peer.send(frame(5, bytes(100)), frame(14), frame(15), numbers(4, 1 << 31))
            peer.send(numbers(6, number, 0, 16384), frame(2), frame(1), frame(9, b"\x1a\xe1"))
        peer.send(frame(99, b"unknown"), hello(len(RAW)))
        while True:
            _, said, _ = await next_extended(peer)
            piece = said.get(b"piece")
            if isinstance(piece, int):
                peer.send(data_of(OURS, RAW, piece))

    async with fetching(tmp_path, script) as (session, torrent):
        await until(session, lambda: torrent.has_info)


@pytest.mark.parametrize("said", NONSENSE)
async def test_nonsense_costs_at_most_the_connection(said: str, tmp_path: Path) -> None:
    is_hung_up = False
    is_heard = False

    async def script(peer: ScriptedPeer) -> None:
        nonlocal is_hung_up, is_heard
        await answer_handshake(peer)
        with contextlib.suppress(HungUpError):
            await peer.until(HAVE_NONE)
        peer.send(NONSENSE[said], hello(len(RAW)))
        try:
            ext_id, request, _ = await next_extended(peer)
            while request.get(b"msg_type") != 0:
                ext_id, request, _ = await next_extended(peer)
            is_heard = ext_id != 0
        except HungUpError:
            is_hung_up = True
        await peer.hangup()

    async with fetching(tmp_path, script) as (session, torrent):
        await until(session, lambda: is_hung_up or is_heard)
        assert torrent.state is State.METADATA
        costly = ("no type", "a piece too", "an e", "a block", "peer exchange")
        assert is_hung_up == said.startswith(costly)


async def test_who_speaks_no_extensions_is_left_alone(tmp_path: Path) -> None:
    is_over = False

    async def script(peer: ScriptedPeer) -> None:
        nonlocal is_over
        received = await peer.read(68)
        peer.send(PROTOCOL + PLAIN + received[28:48] + b"-XX0000-old.........")
        await peer.hangup()
        is_over = True

    async with fetching(tmp_path, script) as (session, torrent):
        await until(session, lambda: is_over)
        assert not swarm_of(torrent).connected
        assert not swarm_of(torrent).fetch.source_count


async def test_it_may_take_back_what_it_offered(tmp_path: Path) -> None:
    async def script(peer: ScriptedPeer) -> None:
        await answer_handshake(peer)
        peer.send(hello(len(RAW)))
        while True:
            _, said, _ = await next_extended(peer)
            if b"piece" in said:
                peer.send(extended(0, {"m": {"ut_metadata": 0}}))

    async with fetching(tmp_path, script) as (session, torrent):
        await until(session, lambda: bool(swarm_of(torrent).connected))
        (peer,) = swarm_of(torrent).connected
        await until(session, lambda: peer.extension is not None and not peer.extension.ids)
        assert swarm_of(torrent).fetch.source_count == 0
        assert str(peer.connection.remote) in repr(peer)


async def test_it_is_kept_alive(tmp_path: Path) -> None:
    is_kept = False

    async def script(peer: ScriptedPeer) -> None:
        nonlocal is_kept
        await answer_handshake(peer)
        await peer.until(HAVE_NONE)
        is_kept = await peer.read(4) == bytes(4)
        await peer.hangup()

    async with fetching(tmp_path, script) as (session, torrent):
        await until(session, lambda: bool(swarm_of(torrent).connected))
        (peer,) = swarm_of(torrent).connected
        peer.keep_alive(session.facilities.loop.time() + 99)
        peer.keep_alive(session.facilities.loop.time() + 101)
        await until(session, lambda: is_kept)


@pytest.mark.parametrize(
    "flood", [bytes(4), numbers(4, 1), hello(100)], ids=["keep-alives", "haves", "handshakes"]
)
async def test_who_never_stops_talking_is_hung_up_on(flood: bytes, tmp_path: Path) -> None:
    ended: list[bool] = []

    async def script(peer: ScriptedPeer) -> None:
        await answer_handshake(peer)
        peer.send(hello(len(RAW)), flood * 50_000)
        await peer.hangup()
        ended.append(True)

    async with fetching(tmp_path, script) as (session, _):
        await until(session, lambda: bool(ended))


async def test_who_asks_for_ever_and_never_reads_is_hung_up_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What we would answer must not pile up."""
    monkeypatch.setattr(small_talk, "AT_ONCE", 10_000_000)
    most = 0
    ended: list[bool] = []

    async def script(peer: ScriptedPeer) -> None:
        nonlocal most
        await answer_handshake(peer)
        peer.send(hello(len(RAW)))
        peer.writer.transport.pause_reading()
        flood = extended(OURS, {"msg_type": 0, "piece": 0}) * 1000
        with contextlib.suppress(ConnectionError):
            while True:
                peer.send(flood)
                await peer.writer.drain()
                for each in swarm.connected:
                    most = max(most, each.connection.pending_bytes)
        ended.append(True)

    async with fetching(tmp_path, script) as (session, torrent):
        swarm = swarm_of(torrent)
        await until(session, lambda: bool(ended))
    assert most < 1024 * 1024
