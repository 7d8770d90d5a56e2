"""Peers that come to us: to their torrent, or away; every place is given back."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.metainfo import Metainfo
from engine.errors import StorageError
from engine.session.session import Session
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer
from tests.storage.torrents import sample

HASHES = [sample(1000, name=name).info.info_hash for name in "ab"]


def _places(session: Session) -> int:
    return session.facilities.connections.open


async def test_each_peer_comes_to_the_torrent_it_named(tmp_path: Path) -> None:
    async with running() as session:
        for name in "ab":
            content = sample(1000, name=name)
            content.store(tmp_path)
            await seeding(session, Metainfo(content.info), tmp_path)
        peers = [
            await ScriptedPeer.meet(endpoint_of(session), info_hash, peer_id=bytes([n]) * 20)
            for n, info_hash in enumerate([HASHES[0], HASHES[1], HASHES[1]])
        ]
        await until(session, lambda: not session.incoming._greeting)
        counts = []
        for torrent in session.torrents.values():
            assert torrent.live is not None
            counts.append(len(torrent.live.peers.connected))
        assert counts == [1, 2]
        for peer in peers:
            await peer.close()
        await until(session, lambda: not _places(session))


async def test_the_answer_does_not_wait_for_the_peer_id(tmp_path: Path) -> None:
    """Some callers send theirs only after they were answered."""
    content = sample(1000)
    content.store(tmp_path)
    async with running() as session:
        await seeding(session, Metainfo(content.info), tmp_path)
        peer = await ScriptedPeer.dial(endpoint_of(session))
        peer.send(wire.PROTOCOL + wire.ALL + content.info.info_hash)
        assert len(await peer.read(68)) == 68
        peer.send(b"-XX0000-", b"scriptedpeer")
        await peer.until(wire.HAVE_ALL)
        await peer.close()


async def test_a_torrent_that_is_paused_takes_nobody(tmp_path: Path) -> None:
    content = sample(1000)
    content.store(tmp_path)
    async with running() as session:
        torrent = await seeding(session, Metainfo(content.info), tmp_path)
        half = await ScriptedPeer.dial(endpoint_of(session))
        half.send(wire.PROTOCOL + wire.ALL + content.info.info_hash)
        await half.read(68)
        torrent.pause()
        half.send(b"-XX0000-scriptedpeer")  # it stopped between the two halves
        late = await ScriptedPeer.dial(endpoint_of(session))
        late.send(wire.PROTOCOL + wire.ALL + content.info.info_hash + b"-XX0000-scriptedpeer")
        for peer in (half, late):
            await peer.hangup()
            await peer.close()
        assert torrent.live is None
        assert not _places(session)


async def test_a_full_session_takes_nobody_but_goes_on(tmp_path: Path) -> None:
    content = sample(1000)
    content.store(tmp_path)
    async with running(replace(LOOPBACK, limits=Limits(max_connections=1))) as session:
        await seeding(session, Metainfo(content.info), tmp_path)
        first = await ScriptedPeer.meet(endpoint_of(session), content.info.info_hash)
        second = await ScriptedPeer.dial(endpoint_of(session))
        await second.hangup()
        await second.close()
        await first.close()
        await until(session, lambda: not _places(session))
        third = await ScriptedPeer.meet(endpoint_of(session), content.info.info_hash)
        await third.close()


async def test_who_only_connects_keeps_nobody_out(tmp_path: Path) -> None:
    content = sample(1000)
    content.store(tmp_path)
    async with running(replace(LOOPBACK, limits=Limits(max_connections=80))) as session:
        await seeding(session, Metainfo(content.info), tmp_path)
        silent = [await ScriptedPeer.dial(endpoint_of(session)) for _ in range(200)]
        for peer in silent[:180]:
            await peer.hangup()  # the oldest; not only when they have had their time
        peer = await ScriptedPeer.meet(endpoint_of(session), content.info.info_hash)
        await peer.until(wire.HAVE_ALL)
        assert _places(session) <= 21
        for each in [peer, *silent]:
            await each.close()
        await until(session, lambda: not _places(session))


async def test_a_peer_that_resets_at_once_costs_nothing(tmp_path: Path) -> None:
    async with running() as session:
        for _ in range(50):
            peer = await ScriptedPeer.dial(endpoint_of(session))
            peer.writer.transport.abort()
        await until(session, lambda: not _places(session) and not session.incoming._greeting)


async def test_closing_hangs_up_on_those_who_have_not_greeted() -> None:
    async with running() as session:
        peer = await ScriptedPeer.dial(endpoint_of(session))
        await until(session, lambda: _places(session) == 1)
    await peer.hangup()
    await peer.close()
    assert not _places(session)


async def test_a_torrent_whose_metainfo_cannot_be_read_fails_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = sample(1000)
    content.store(tmp_path)
    async with running(state_dir=tmp_path / "state") as session:
        torrent = await seeding(session, Metainfo(content.info), tmp_path)
        await asyncio.sleep(0)
        torrent.put_away()

        def unreadable(_: bytes) -> Metainfo:
            raise StorageError("the state file is torn")

        monkeypatch.setattr(session, "load_metainfo", unreadable)
        peer = await ScriptedPeer.dial(endpoint_of(session))
        peer.send(wire.PROTOCOL + wire.ALL + content.info.info_hash + b"-XX0000-scriptedpeer")
        await peer.hangup()
        await peer.close()
        await until_state(session, torrent, State.ERROR)
        assert torrent.error == "the state file is torn"
