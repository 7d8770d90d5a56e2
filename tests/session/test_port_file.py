"""The port from a file: followed by TCP, UDP, trackers and the router; nonsense changes nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from engine.core import bencode
from engine.core.metainfo import Metainfo
from engine.errors import InputError
from engine.net.connection import Transport
from engine.session import port_file
from engine.session.health import check_health
from engine.session.options import SessionOptions
from engine.session.port_file import parse_port
from engine.session.session import Session
from engine.torrent.facilities import Limits
from engine.torrent.lifecycle import State
from tests.end_to_end.rig import (
    LOOPBACK,
    endpoint_of,
    running,
    seeding,
    until,
    until_state,
    with_trackers,
)
from tests.fakes.ports import free_port
from tests.fakes.router import PmpRouter
from tests.net.web_server import WebServer
from tests.storage.torrents import sample

HOST = "127.0.0.1"
CONTENT = sample(3_000_000, 65536)
SLOW = 300_000


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_file, "INTERVAL_S", 0.05)


@given(st.binary(max_size=20))
def test_what_is_no_port_is_refused(content: bytes) -> None:
    with contextlib.suppress(InputError):
        assert 0 < parse_port(content) < 65536


@given(st.integers(1, 65535), st.sampled_from(["", "\n", "\r\n", " \n", "\n\n", "\n12\n"]))
def test_the_first_line_is_the_port(port: int, end: str) -> None:
    assert parse_port(f"{port}{end}".encode()) == port


@pytest.mark.parametrize("content", [b"", b"\n", b"0", b"65536", b"-1", b"6881,2", b"\xb2", b"x"])
def test_these_are_none(content: bytes) -> None:
    with pytest.raises(InputError, match=r"is no port|no port in it"):
        parse_port(content)


def _write(file: Path, content: int | str) -> None:
    """As a careful program does it: whole."""
    new = file.with_name("new")
    new.write_text(f"{content}\n")
    os.replace(new, file)


def _ports(session: Session) -> set[int]:
    """Where the session listens for peers and for datagrams."""
    both = session.incoming.listener.endpoints, session.udp.endpoints
    return {endpoint.port for endpoints in both for endpoint in endpoints}


@contextlib.asynccontextmanager
async def _following(file: Path, options: SessionOptions = LOOPBACK) -> AsyncIterator[Session]:
    async with running(replace(options, listen_port_file=file)) as session:
        yield session


@pytest.mark.parametrize("transport", Transport)
async def test_a_download_goes_on_over_a_change_of_the_port(
    transport: Transport, tmp_path: Path
) -> None:
    """The seed moves, and so does the leecher; whom TCP connects stays so."""
    CONTENT.store(tmp_path / "source")
    file = tmp_path / "port"
    first, second = free_port(), free_port()
    _write(file, first)
    only = replace(LOOPBACK, transports=frozenset({transport}))
    async with _following(file, only) as seed, running(only) as leecher:
        assert _ports(seed) == {first}
        await seeding(seed, Metainfo(CONTENT.info), tmp_path / "source")
        leecher.set_limits(down=SLOW)
        torrent = await leecher.add(
            Metainfo(CONTENT.info), save_path=tmp_path / "target", peers=[endpoint_of(seed)]
        )
        await until(leecher, lambda: torrent.have.count > 2)
        assert torrent.live is not None
        (peer,) = torrent.live.peers.connected
        _write(file, second)
        await until(seed, lambda: _ports(seed) == {second})
        with pytest.raises(ConnectionRefusedError), socket.socket() as sock:
            sock.connect((HOST, first))
        if transport is Transport.TCP:
            had = torrent.have.count
            await until(leecher, lambda: torrent.have.count > had)
            assert list(torrent.live.peers.connected) == [peer]
        else:
            await until(leecher, lambda: peer.connection.is_closed)
            torrent.add_peer(endpoint_of(seed))
        leecher.set_limits(down=0)
        await until_state(leecher, torrent, State.SEEDING)
    assert (tmp_path / "target" / "t").read_bytes() == CONTENT.data


async def test_trackers_are_told_the_new_port(tmp_path: Path) -> None:
    announced: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        announced.append(request.query["port"])
        return web.Response(body=bencode.encode({"interval": 1800, "peers": b""}))

    server = WebServer(handler)
    await server.start()
    CONTENT.store(tmp_path)
    file = tmp_path / "port"
    first, second = free_port(), free_port()
    _write(file, first)
    eager = replace(LOOPBACK, limits=Limits(min_announce_interval_s=0.1))
    async with _following(file, eager) as session:
        torrent = with_trackers(Metainfo(CONTENT.info), server.url("/announce"))
        await seeding(session, torrent, tmp_path)
        await until(session, lambda: announced == [str(first)])
        _write(file, second)
        await until(session, lambda: announced == [str(first), str(second)])
    await server.stop()


async def test_the_router_leads_the_new_port_to_us_and_no_longer_the_old(
    router: PmpRouter, tmp_path: Path
) -> None:
    file = tmp_path / "port"
    first, second = free_port(), free_port()
    _write(file, first)
    async with _following(file, replace(LOOPBACK, port_mapping=True)) as session:
        await until(session, lambda: session.reaching.port == first and len(router.entries) == 2)
        _write(file, second)
        wanted = {("TCP", second, second), ("UDP", second, second)}
        await until(session, lambda: set(router.entries) == wanted)
        await until(session, lambda: session.reaching.port == second)
    assert not router.entries


async def test_what_cannot_be_had_changes_nothing_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "port"
    first = free_port()
    _write(file, first)
    async with _following(file) as session:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            taken = free_port()
            other.bind((HOST, taken))
            _write(file, taken)
            await _until_trouble(session, f"{file}: cannot open UDP port {taken}")
            assert _ports(session) == {first}
        await until(session, lambda: _ports(session) == {taken})
        assert not _trouble(session)
    assert caplog.text.count(f"cannot open UDP port {taken}") == 1


@pytest.mark.parametrize(
    ("content", "why"),
    [("none yet", "'none yet' is no port"), ("", "no port in it"), (None, "No such file")],
)
async def test_nonsense_leaves_the_port_and_is_told_once(
    content: str | None, why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "port"
    port = free_port()
    _write(file, port)
    async with _following(file) as session:
        if content is None:
            file.unlink()
        else:
            _write(file, content)
        with caplog.at_level(logging.WARNING):
            await _until_trouble(session, f"{file}: {why}")
        checks = {check.name: check for check in await check_health(session)}
        assert checks["ports"].is_ok
        assert checks["ports"].text.endswith(_trouble(session))
        assert _ports(session) == {port}
        second = free_port()
        _write(file, second)
        await until(session, lambda: _ports(session) == {second})
        assert not _trouble(session)
    assert caplog.text.count(why) == 1


async def test_a_file_that_comes_later_counts_then(tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "port"
    async with _following(file, replace(LOOPBACK, listen_port=port)) as session:
        assert _ports(session) == {port}
        second = free_port()
        _write(file, second)
        await until(session, lambda: _ports(session) == {second})


def _trouble(session: Session) -> str:
    assert session.rerouting.port_file is not None
    return session.rerouting.port_file.trouble


async def _until_trouble(session: Session, begin: str) -> None:
    await until(session, lambda: _trouble(session).startswith(begin), begin)
