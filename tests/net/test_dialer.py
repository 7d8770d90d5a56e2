"""Dialling: connected sockets, or a PeerError that says why; never from another address."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from engine.core.compact import Endpoint
from engine.errors import PeerError, PeerTimeoutError
from engine.net.connection import Transport
from engine.net.dialer import Dialer
from engine.net.route import Route
from tests.net.utp_rig import ports
from tests.tracker.asking import needs_ipv6

_BUFFER = memoryview(bytearray(1024))


def _dialer(local_host: str | None = None) -> Dialer:
    return Dialer(asyncio.get_running_loop(), _BUFFER, Route(local_host))


@contextlib.contextmanager
def _server(host: str = "127.0.0.1") -> contextlib.AbstractContextManager[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        yield server


def _at(server: socket.socket) -> Endpoint:
    return Endpoint(*server.getsockname()[:2])


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
@pytest.mark.parametrize("is_held", [False, True])
async def test_a_connection_is_made(host: str, is_held: bool) -> None:
    dialer = _dialer(host if is_held else None)
    with _server(host) as server:
        connection = await dialer.dial(_at(server))
        accepted, _ = server.accept()
        connection.write(b"hello")
        connection.flush()
        assert connection.remote == _at(server)
        with accepted:
            assert accepted.recv(5) == b"hello"
        connection.close()


async def test_it_speaks_from_the_address_it_is_held_to() -> None:
    with _server() as server:
        connection = await _dialer("127.0.0.2").dial(_at(server))
        accepted, (host, _) = server.accept()
        accepted.close()
        connection.close()
    assert host == "127.0.0.2"


async def test_held_to_one_family_it_does_not_dial_the_other() -> None:
    v4, v6 = Endpoint("127.0.0.1", 9), Endpoint("::1", 9)
    assert _dialer().can_reach(v4)
    assert _dialer().can_reach(v6)
    assert not _dialer("127.0.0.1").can_reach(v6)
    assert not _dialer("::1").can_reach(v4)
    with pytest.raises(PeerError, match=r"\[::1\]:9: not reachable from 127.0.0.1"):
        await _dialer("127.0.0.1").dial(v6)


async def test_an_address_that_is_not_ours_fails_closed() -> None:
    with _server() as server:
        dialer = _dialer("192.0.2.1")
        with pytest.raises(PeerError, match="assign"):
            await dialer.dial(_at(server))
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_a_closed_port_is_a_peer_error() -> None:
    with _server() as server:
        at = _at(server)
    with pytest.raises(PeerError, match=r"(?i)refused") as caught:
        await _dialer().dial(at)
    assert str(at) in str(caught.value)


class _Deaf(Route):
    """A way by which no connection is ever completed, as to a host that drops all packets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.socket: socket.socket | None = None
        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", self._drop)

    async def _drop(self, sock: socket.socket, address: tuple[str, int]) -> None:
        self.socket = sock
        await asyncio.Event().wait()


async def test_silence_is_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    route = _Deaf(monkeypatch)
    dialer = Dialer(asyncio.get_running_loop(), _BUFFER, route)
    with pytest.raises(PeerTimeoutError, match="no connection within"):
        await dialer.dial(Endpoint("127.0.0.1", 9), timeout_s=0.01)
    assert route.socket is not None
    assert route.socket.fileno() == -1


async def test_a_cancelled_dial_leaves_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    route = _Deaf(monkeypatch)
    dialer = Dialer(asyncio.get_running_loop(), _BUFFER, route)
    dialling = asyncio.create_task(dialer.dial(Endpoint("127.0.0.1", 9)))
    await asyncio.sleep(0)
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    assert route.socket is not None
    assert route.socket.fileno() == -1


async def test_holes_are_punched_by_utp_and_nothing_else() -> None:
    """Whatever listens for TCP there is not called."""
    async with ports() as (here, there):
        loop, route = asyncio.get_running_loop(), Route("127.0.0.1")
        dialer = Dialer(loop, _BUFFER, route, utp=here.utp)
        assert dialer.speaks_utp
        assert dialer.can_punch(there.endpoint)
        assert not dialer.can_punch(Endpoint("::1", 6881)), "the port has no IPv6"
        connection = await dialer.punch(there.endpoint)
        assert connection.transport is Transport.UTP
        connection.close()
        with _server() as server, pytest.raises(PeerError):
            await dialer.punch(_at(server), 0.2)


async def test_without_utp_there_is_no_punching() -> None:
    dialer = _dialer()
    assert not dialer.speaks_utp
    assert not dialer.can_punch(Endpoint("127.0.0.1", 9))
    with pytest.raises(PeerError):
        await dialer.punch(Endpoint("127.0.0.1", 9))
