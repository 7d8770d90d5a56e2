"""Handshakes, both roles, however they are cut: handed on once with what came behind, or failed."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.identifiers import InfoHash, PeerId
from engine.errors import PeerError, PeerTimeoutError, ProtocolError
from engine.net.connection import RECEIVE_BUFFER_BYTES
from engine.net.peer_connection import PeerConnection
from engine.torrent import greeting as greeting_module
from engine.torrent.greeting import Greeting
from engine.wire.handshake import Handshake

HASH = InfoHash(b"h" * 20)
OURS = Handshake(HASH, PeerId(b"o" * 20)).encode()
THEIRS = Handshake(HASH, PeerId(b"t" * 20)).encode()


class Host:
    """Who greets: knows one torrent, and notes what came of it."""

    def __init__(self) -> None:
        self.asked: list[InfoHash] = []
        self.greeted: list[tuple[Handshake, bytes]] = []
        self.failed: list[Exception | None] = []
        self.over = asyncio.Event()

    def answer(self, info_hash: InfoHash) -> bytes | None:
        self.asked.append(info_hash)
        return OURS if info_hash == HASH else None

    def on_greeted(self, connection: PeerConnection, handshake: Handshake, rest: bytes) -> None:
        self.greeted.append((handshake, rest))
        connection.start(_Silent())
        self.over.set()

    def on_failed(self, error: Exception | None) -> None:
        self.failed.append(error)
        self.over.set()

    async def until_over(self) -> None:
        async with asyncio.timeout(20):
            await self.over.wait()


class _Silent:
    """Takes over and says nothing."""

    def on_data(self, data: memoryview) -> None:
        pass

    def on_writable(self) -> None:
        pass

    def on_closed(self, error: Exception | None) -> None:
        pass

    def read_quota(self) -> int:
        return RECEIVE_BUFFER_BYTES


@contextlib.asynccontextmanager
async def _meeting(host: Host) -> AsyncIterator[tuple[PeerConnection, Greeting, socket.socket]]:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname())
        near, _ = server.accept()
    far.setblocking(False)
    connection = PeerConnection(loop, near, memoryview(bytearray(RECEIVE_BUFFER_BYTES)))
    greeting = Greeting(
        loop, connection, answer=host.answer, greeted=host.on_greeted, failed=host.on_failed
    )
    connection.start(greeting)
    try:
        yield connection, greeting, far
    finally:
        connection.close()
        far.close()


def test_it_does_not_matter_how_the_bytes_are_cut() -> None:
    rest = b"and the first messages"

    async def meet(cuts: list[int]) -> Host:
        host = Host()
        async with _meeting(host) as (connection, greeting, far):
            data = THEIRS + rest
            edges = [0, *sorted(cuts), len(data)]
            for start, end in itertools.pairwise(edges):
                if end > start and not host.greeted:
                    greeting.on_data(memoryview(data)[start:end])
            connection.flush()
            assert far.recv(100) == OURS
        return host

    @given(st.lists(st.integers(0, len(THEIRS)), max_size=8))
    def check(cuts: list[int]) -> None:
        host = asyncio.run(meet(cuts))
        ((handshake, behind),) = host.greeted
        assert handshake == Handshake.decode(THEIRS)
        assert rest.startswith(behind)
        assert (host.asked, host.failed) == ([HASH], [])

    check()


async def test_who_calls_speaks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host()
    loop = asyncio.get_running_loop()
    async with _meeting(host) as (_, greeting, far):
        greeting.call(HASH)
        assert await loop.sock_recv(far, 100) == OURS
        await loop.sock_sendall(far, THEIRS)
        await host.until_over()
        assert host.greeted == [(Handshake.decode(THEIRS), b"")]
        assert host.asked == [HASH]  # once: the answer is not answered


async def test_our_answer_leaves_with_what_is_said_next() -> None:
    class Talker(Host):
        def on_greeted(self, connection: PeerConnection, handshake: Handshake, rest: bytes) -> None:
            assert not connection.bytes_sent
            connection.write(b"and more")
            super().on_greeted(connection, handshake, rest)

    host = Talker()
    loop = asyncio.get_running_loop()
    async with _meeting(host) as (_, _, far):
        await loop.sock_sendall(far, THEIRS)
        await host.until_over()
        assert await loop.sock_recv(far, 100) == OURS + b"and more"


async def test_who_is_not_wanted_learns_whom_it_reached() -> None:
    class Full(Host):
        def on_greeted(self, connection: PeerConnection, handshake: Handshake, rest: bytes) -> None:
            raise PeerError("all places are taken")

    host = Full()
    loop = asyncio.get_running_loop()
    async with _meeting(host) as (_, _, far):
        await loop.sock_sendall(far, THEIRS)
        await host.until_over()
        assert await loop.sock_recv(far, 100) == OURS
        assert host.failed


async def test_a_torrent_we_do_not_have_gets_no_answer() -> None:
    host = Host()
    loop = asyncio.get_running_loop()
    async with _meeting(host) as (connection, _, far):
        await loop.sock_sendall(far, Handshake(InfoHash(b"x" * 20), PeerId(b"t" * 20)).encode())
        await host.until_over()
        assert connection.is_closed
        (error,) = host.failed
        assert isinstance(error, PeerError)
        assert "not here" in str(error)
        assert await loop.sock_recv(far, 100) == b""


@pytest.mark.parametrize("said", [b"G", THEIRS[:19] + b"X", b"\x14" + THEIRS[1:]])
async def test_the_first_wrong_byte_is_enough(said: bytes) -> None:
    host = Host()
    async with _meeting(host) as (_, _, far):
        await asyncio.get_running_loop().sock_sendall(far, said)
        await host.until_over()
        assert isinstance(host.failed[0], ProtocolError)


@pytest.mark.parametrize("said", [b"", THEIRS[:30], THEIRS[:60]])
async def test_who_hangs_up_before_the_end_failed(said: bytes) -> None:
    host = Host()
    async with _meeting(host) as (_, _, far):
        await asyncio.get_running_loop().sock_sendall(far, said)
        far.close()
        await host.until_over()
        assert len(host.failed) == 1
        assert not host.greeted


async def test_there_is_a_time_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one that begins anew with every byte."""
    monkeypatch.setattr(greeting_module, "GREETING_TIMEOUT_S", 0.03)
    host = Host()
    loop = asyncio.get_running_loop()
    async with _meeting(host) as (connection, _, far):
        for at in range(68):
            if connection.is_closed:
                break
            await loop.sock_sendall(far, THEIRS[at : at + 1])
            await asyncio.sleep(0.002)
        await host.until_over()
        assert isinstance(host.failed[0], PeerTimeoutError)


async def test_no_timer_is_left_when_it_is_over() -> None:
    host = Host()
    async with _meeting(host) as (_, greeting, far):
        await asyncio.get_running_loop().sock_sendall(far, THEIRS)
        await host.until_over()
        assert greeting._timer.cancelled()


async def test_what_comes_behind_the_handshake_is_not_read_by_the_megabyte() -> None:
    """It is taken apart in one turn of the loop, and nobody knows yet what it costs."""
    host = Host()
    async with _meeting(host) as (_, greeting, _far):
        assert greeting.read_quota() <= 4096
