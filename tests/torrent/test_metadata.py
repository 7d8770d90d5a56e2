"""Fetching metadata from a swarm: who is dialled, who is let go, what is handed on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.compact import Endpoint
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.errors import StorageError
from engine.session.session import Session
from engine.swarm.metadata_fetch import MetadataFetch
from engine.swarm.peer_list import PeerSource
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from engine.torrent.metadata import MetadataSwarm
from engine.torrent.torrent import Torrent
from tests.end_to_end.rig import LOOPBACK, running, until, until_state
from tests.fakes.metadata_giver import (
    PIECE_BYTES,
    answer_handshake,
    data_of,
    extended,
    giving,
    hello,
    next_extended,
)
from tests.fakes.scripted_peer import ScriptedPeer, listening
from tests.storage.torrents import sample

CONTENT = sample(100_000, 16384)
RAW = CONTENT.info.raw


@contextlib.asynccontextmanager
async def fetching(
    tmp_path: Path, *peers: Endpoint, limits: Limits | None = None
) -> AsyncIterator[tuple[Session, Torrent, MetadataSwarm]]:
    async with running(replace(LOOPBACK, limits=limits or Limits())) as session:
        link = Magnet(CONTENT.info.info_hash, peers=peers)
        torrent = await session.add(link, save_path=tmp_path)
        assert torrent.fetching is not None
        yield session, torrent, torrent.fetching
    assert session.facilities.connections.open == 0


async def mute(peer: ScriptedPeer) -> None:
    """Speaks the extension and gives nothing."""
    await answer_handshake(peer)
    peer.send(hello(None))
    await peer.hangup()


async def test_who_gives_nothing_makes_room_and_is_not_blamed(tmp_path: Path) -> None:
    async with listening(mute) as at, fetching(tmp_path, at) as (session, torrent, swarm):
        await until(session, lambda: bool(swarm.connected))
        now = session.facilities.loop.time()
        torrent.tick(now + 29, 1.0)
        assert swarm.connected
        torrent.tick(now + 31, 1.0)
        assert not swarm.connected
        assert swarm.known.endpoints() == [at]  # it has not failed
        assert swarm.known.candidates(now + 59, 9) == []
        assert swarm.known.candidates(now + 65, 9) == [at]


async def test_who_was_not_asked_yet_keeps_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have their turn first: that it gave nothing is not its fault."""
    monkeypatch.setattr(MetadataFetch, "requests", lambda *_: [])
    async with listening(giving(RAW)) as at, fetching(tmp_path, at) as (session, torrent, swarm):
        await until(session, lambda: bool(swarm.fetch.source_count))
        torrent.tick(session.facilities.loop.time() + 31, 1.0)
        assert swarm.connected


async def test_nobody_keeps_a_place_by_promises_and_drops(tmp_path: Path) -> None:
    """It says 1 MiB and gives a piece now and then."""
    pieces = 0

    def answer(ext_id: int, metadata: bytes, piece: int) -> bytes:
        nonlocal pieces
        pieces += 1
        return data_of(ext_id, metadata, piece) if pieces == 1 else b""

    script = giving(bytes(1024 * 1024), answer=answer)
    async with listening(script) as at, fetching(tmp_path, at) as (session, torrent, swarm):
        await until(session, lambda: any(peer.received_bytes for peer in swarm.connected))
        (peer,) = swarm.connected
        assert (peer.promised_bytes, peer.received_bytes) == (1024 * 1024, PIECE_BYTES)
        peer.useful_at = peer.tried_since + 90
        torrent.tick(peer.tried_since + 93, 1.0)
        assert swarm.connected
        torrent.tick(peer.tried_since + 95, 1.0)
        assert not swarm.connected


async def test_what_nobody_asked_for_is_not_useful(tmp_path: Path) -> None:
    async def script(peer: ScriptedPeer) -> None:
        await answer_handshake(peer)
        peer.send(hello(len(RAW)))
        await next_extended(peer)
        await next_extended(peer)
        peer.send(data_of(1, bytes(20 * PIECE_BYTES), 17), extended(1, {"msg_type": 0, "piece": 0}))
        await next_extended(peer)
        answered.append(True)
        await peer.hangup()

    answered: list[bool] = []
    async with listening(script) as at, fetching(tmp_path, at) as (session, _, swarm):
        await until(session, lambda: bool(answered))
        (peer,) = swarm.connected
        assert (peer.received_bytes, peer.useful_at) == (0, peer.tried_since)


async def test_no_more_are_dialled_than_there_are_places(tmp_path: Path) -> None:
    met = 0

    async def script(peer: ScriptedPeer) -> None:
        nonlocal met
        met += 1
        await answer_handshake(peer, peer_id=b"-XX0000-" + bytes([met]) * 12)
        await peer.hangup()

    async with contextlib.AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(listening(script)) for _ in range(5)]
        limits = Limits(max_connections_per_torrent=2)
        async with fetching(tmp_path, *peers, limits=limits) as (session, torrent, swarm):
            await until(session, lambda: len(swarm.connected) == 2)
            torrent.tick(session.facilities.loop.time(), 1.0)
            assert session.facilities.connections.dialling == 0
            assert met == 2


async def test_addresses_found_on_the_way_are_handed_on(tmp_path: Path) -> None:
    """One gave metadata, one gave nothing, one could not be reached."""
    gone = Endpoint("127.0.0.1", 9)
    async with (
        listening(giving(RAW)) as giver,
        listening(mute) as useless,
        fetching(tmp_path) as (session, torrent, swarm),
    ):
        torrent.found_peers([gone, useless], PeerSource.TRACKER)
        await until(session, lambda: len(swarm.connected) == 1)
        await until(session, lambda: swarm.known.endpoints() == [useless])
        torrent.found_peers([giver], PeerSource.TRACKER)
        await until_state(session, torrent, State.DOWNLOADING)
        known = torrent.wake().peers.known
        assert sorted(known.endpoints()) == sorted([giver, useless])
        assert gone in known
        await until(session, lambda: bool(torrent.wake().peers.connected))


async def test_it_is_ourselves(tmp_path: Path) -> None:
    async with fetching(tmp_path) as (session, torrent, swarm):
        own = session.facilities.peer_id

        async def script(peer: ScriptedPeer) -> None:
            await answer_handshake(peer, peer_id=bytes(own))
            await peer.hangup()

        async with listening(script) as at:
            torrent.add_peer(at)
            await until(session, lambda: swarm.known.is_banned(at))
            assert not swarm.connected


async def test_a_state_file_that_cannot_keep_it_is_an_error(tmp_path: Path) -> None:
    async with listening(giving(RAW)) as giver, fetching(tmp_path) as (session, torrent, swarm):

        async def keep(torrent: Torrent, metainfo: Metainfo) -> None:
            raise StorageError("no space left")

        swarm._owner = type("Full", (), {"keep_metainfo": staticmethod(keep)})()
        torrent.add_peer(giver)
        await until_state(session, torrent, State.ERROR)
        assert (torrent.error, torrent.has_info) == ("no space left", False)
        torrent.start()
        await until_state(session, torrent, State.DOWNLOADING)


async def test_few_sources_make_the_tracker_be_asked_again(tmp_path: Path) -> None:
    async with fetching(tmp_path) as (session, torrent, swarm):
        wanted: list[str] = []
        swarm.torrent = _Watched(torrent, wanted)  # type: ignore[assignment]
        swarm.tick(session.facilities.loop.time())
        assert wanted == ["more"]
        swarm.torrent = torrent


class _Watched:
    def __init__(self, torrent: Torrent, wanted: list[str]) -> None:
        self._torrent = torrent
        self.announcer = self
        self._wanted = wanted

    def want_more(self) -> None:
        self._wanted.append("more")


async def test_learning_late_does_not_wake_a_paused_torrent(tmp_path: Path) -> None:
    async with fetching(tmp_path) as (session, torrent, swarm):
        torrent.pause()
        assert swarm.is_closed
        torrent.learned(Metainfo(CONTENT.info), swarm.known)
        assert (torrent.state, torrent.has_info) == (State.PAUSED, True)
        assert (torrent.name, torrent.left) == (CONTENT.info.name, CONTENT.info.total_length)
        CONTENT.store(tmp_path)
        torrent.start()
        await until_state(session, torrent, State.SEEDING)
