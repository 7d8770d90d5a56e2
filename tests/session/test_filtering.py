"""The IP filter on a running session: closed until it is loaded, and never opened by a failure."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from engine.control.why import reason_for
from engine.core.compact import Endpoint
from engine.core.ip_filter import IpFilter
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.errors import InputError, SourceError
from engine.session import filtering
from engine.session.filtering import FilterOptions
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.storage import filter_file
from engine.swarm.peer_list import PeerSource
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import LOOPBACK, endpoint_of, running, seeding, until, until_state
from tests.fakes import scripted_peer as wire
from tests.fakes.scripted_peer import ScriptedPeer, listening
from tests.net.web_server import WebServer
from tests.storage.torrents import sample

CONTENT = sample(100_000, 16384)
NOBODY_HERE = "203.0.113.0/24\n"
EVERYBODY_HERE = "loopback:127.0.0.0-127.255.255.255\n"


def _options(source: Path | str, **values: object) -> SessionOptions:
    return replace(LOOPBACK, filter=FilterOptions(source=str(source), **values))  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def _dialled() -> AsyncIterator[tuple[asyncio.Queue[ScriptedPeer], Endpoint]]:
    """A place to be dialled at, and who did so; they are silent."""
    peers: asyncio.Queue[ScriptedPeer] = asyncio.Queue()
    done = asyncio.Event()

    async def script(peer: ScriptedPeer) -> None:
        peers.put_nowait(peer)
        await done.wait()

    async with listening(script) as at:
        try:
            yield peers, at
        finally:
            done.set()


async def _open(session: Session) -> None:
    await until(session, lambda: session.facilities.gate.is_open)


async def test_who_is_filtered_is_hung_up_on_before_a_byte_is_read(tmp_path: Path) -> None:
    source = tmp_path / "list"
    source.write_text(EVERYBODY_HERE)
    CONTENT.store(tmp_path)
    async with running(_options(source)) as session:
        await _open(session)
        await seeding(session, Metainfo(CONTENT.info), tmp_path)
        peer = await ScriptedPeer.dial(endpoint_of(session))
        peer.send(wire.PROTOCOL + wire.ALL + CONTENT.info.info_hash + b"-XX0000-scriptedpeer")
        assert not await peer.reader.read()
        await peer.close()
        assert session.facilities.gate.refused == 1
        assert not session.facilities.connections.open
        source.write_text(NOBODY_HERE)
        await session.filtering.reload()
        peer = await ScriptedPeer.meet(endpoint_of(session), CONTENT.info.info_hash)
        await peer.until(wire.HAVE_ALL)
        await peer.close()


async def test_who_is_filtered_is_not_dialled_and_not_learned(tmp_path: Path) -> None:
    source = tmp_path / "list"
    source.write_text(EVERYBODY_HERE)
    options = _options(source, allow=("127.0.0.2",))
    async with running(options) as session, _dialled() as (peers, at):
        await _open(session)
        torrent = await session.add(Metainfo(CONTENT.info), save_path=tmp_path)
        await until_state(session, torrent, State.DOWNLOADING)
        told = [at, Endpoint("127.0.0.2", 1), Endpoint("127.0.0.3", 1)]
        torrent.found_peers(told, PeerSource.TRACKER)
        assert torrent.live is not None
        assert torrent.live.peers.known.endpoints() == [Endpoint("127.0.0.2", 1)]
        assert session.facilities.gate.unlearned == 2
        source.write_text(NOBODY_HERE)
        await session.filtering.reload()
        torrent.found_peers(told, PeerSource.TRACKER)
        await asyncio.wait_for(peers.get(), 20)


async def test_a_new_list_ends_connections_and_forgets_addresses(tmp_path: Path) -> None:
    source = tmp_path / "list"
    source.write_text(NOBODY_HERE)
    CONTENT.store(tmp_path / "seed")
    async with running(_options(source)) as session, running() as other:
        await _open(session)
        seeder = await seeding(other, Metainfo(CONTENT.info), tmp_path / "seed")
        seeder.set_limits(up=1)
        torrent = await session.add(
            Metainfo(CONTENT.info), save_path=tmp_path / "t", peers=[endpoint_of(other)]
        )
        await until(session, lambda: bool(torrent.live and torrent.live.peers.connected))
        silent = await ScriptedPeer.dial(endpoint_of(session))
        await until(session, lambda: session.facilities.connections.open == 2)
        source.write_text(EVERYBODY_HERE)
        await session.filtering.reload()
        await silent.hangup()
        await silent.close()
        assert torrent.live is not None
        assert not torrent.live.peers.connected
        assert session.facilities.gate.closed == 2
        await until(session, lambda: not session.facilities.connections.open)
        torrent.live.peers.dial_more()
        await until(session, lambda: torrent.live is None or not len(torrent.live.peers.known))
        assert not session.facilities.connections.dialling


async def test_a_new_list_ends_the_fetch_of_metadata_too(tmp_path: Path) -> None:
    source = tmp_path / "list"
    source.write_text(NOBODY_HERE)
    async with running(_options(source)) as session, _dialled() as (peers, at):
        await _open(session)
        torrent = await session.add(Magnet(CONTENT.info.info_hash), save_path=tmp_path, peers=[at])
        peer = await asyncio.wait_for(peers.get(), 20)
        await peer.read(68)
        source.write_text(EVERYBODY_HERE)
        await session.filtering.reload()
        await peer.hangup()
        assert session.facilities.gate.closed == 1
        assert torrent.state is State.METADATA


async def test_until_the_list_is_there_nobody_is_spoken_with(tmp_path: Path) -> None:
    """And as soon as it is there, those who are waited for are dialled."""
    source = tmp_path / "list"
    async with running(_options(source)) as session, _dialled() as (peers, at):
        await until(session, lambda: bool(session.filtering.error))
        assert "No such file" in session.filtering.error
        torrent = await session.add(Metainfo(CONTENT.info), save_path=tmp_path, peers=[at])
        await until_state(session, torrent, State.DOWNLOADING)
        assert "IP filter" in reason_for(torrent)
        assert peers.empty()
        assert not session.facilities.connections.dialling
        caller = await ScriptedPeer.dial(endpoint_of(session))
        assert not await caller.reader.read()
        await caller.close()
        source.write_text(NOBODY_HERE)
        await session.filtering.reload()
        peer = await asyncio.wait_for(peers.get(), 20)
        assert (await peer.read(68))[28:48] == bytes(CONTENT.info.info_hash)


async def test_a_list_that_cannot_be_read_again_leaves_the_last_one(tmp_path: Path) -> None:
    source, copy = tmp_path / "list", tmp_path / "state" / "ip-filter"
    source.write_text("9.0.0.0/8\n")
    async with running(_options(source, copy=copy)) as session:
        await until(session, copy.exists)
        for broken in (b"<html>", b"", gzip.compress(b"1.1.1.1\n" * 99)[:-9]):
            source.write_bytes(broken)
            with pytest.raises(InputError, match="list"):
                await session.filtering.reload()
            assert session.filtering.error
            assert session.facilities.gate.forbids("9.1.1.1")
        source.unlink()
        with pytest.raises(SourceError):
            await session.filtering.reload()
    async with running(_options(source, copy=copy)) as session:
        assert session.facilities.gate.is_open  # at once, from what is kept
        assert session.facilities.gate.forbids("9.1.1.1")
    async with running(_options(tmp_path / "another", copy=copy)) as session:
        assert not session.facilities.gate.is_open  # it is the copy of another list


async def test_a_list_from_the_web_is_kept_and_read_again_when_it_is_old(tmp_path: Path) -> None:
    answers = [gzip.compress(b"9.0.0.0/8\n"), b"", b"8.0.0.0/8\n"]

    async def handler(_: web.Request) -> web.Response:
        body = answers.pop(0) if answers else b""
        return web.Response(body=body, status=200 if body else 503)

    server = WebServer(handler)
    await server.start()
    url, copy = server.url("/list.gz"), tmp_path / "ip-filter"
    try:
        async with running(_options(url, copy=copy)) as session:
            await until(session, copy.exists)
            assert session.facilities.gate.forbids("9.1.1.1")
        async with running(_options(url, copy=copy)) as session:
            assert session.facilities.gate.forbids("9.1.1.1")
            with pytest.raises(SourceError, match="503"):
                await session.filtering.reload()
            assert session.facilities.gate.forbids("9.1.1.1")
        assert len(server.requests) == 2  # a young copy is not asked for again by itself
        filter_file.keep(copy, IpFilter.of(["9.0.0.0/8"]), source=url, read_at=time.time() - 90_000)
        async with running(_options(url, copy=copy)) as session:
            assert session.facilities.gate.forbids("9.1.1.1")
            await until(session, lambda: session.facilities.gate.forbids("8.1.1.1"))
            assert not session.facilities.gate.forbids("9.1.1.1")
    finally:
        await server.stop()


async def test_a_failed_start_tries_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filtering, "_FIRST_RETRY_S", 0.01)
    source = tmp_path / "list"
    async with running(_options(source)) as session:
        await until(session, lambda: bool(session.filtering.error))
        source.write_text(NOBODY_HERE)
        await _open(session)
        assert not session.filtering.error


async def test_what_makes_no_sense_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "list"
    source.write_text(NOBODY_HERE + "what?\n" * 5)
    async with running(_options(source)) as session:
        await _open(session)
        await until(session, lambda: session.filtering.nonsense == 5)
    told = [line for line in caplog.messages if "make no sense" in line]
    assert len(told) == 1
    assert "5 lines" in told[0]


async def test_without_a_source_there_is_nothing_to_read() -> None:
    async with running() as session:
        assert session.facilities.gate.is_open
        with pytest.raises(InputError, match=r"filter\.source"):
            await session.filtering.reload()
