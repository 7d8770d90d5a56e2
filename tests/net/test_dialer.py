"""Dialling: connected sockets, or a PeerError that says why; never from another address."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from engine.core.compact import Endpoint
from engine.errors import PeerError, PeerTimeoutError
from engine.net.dialer import Dialer
from tests.tracker.asking import needs_ipv6


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
    dialer = Dialer(asyncio.get_running_loop(), host if is_held else None)
    with _server(host) as server, await dialer.dial(_at(server)) as sock:
        assert not sock.getblocking()
        assert Endpoint(*sock.getpeername()[:2]) == _at(server)


async def test_it_speaks_from_the_address_it_is_held_to() -> None:
    dialer = Dialer(asyncio.get_running_loop(), "127.0.0.2")
    with _server() as server, await dialer.dial(_at(server)):
        accepted, (host, _) = server.accept()
        accepted.close()
    assert host == "127.0.0.2"


async def test_held_to_one_family_it_does_not_dial_the_other() -> None:
    loop = asyncio.get_running_loop()
    v4, v6 = Endpoint("127.0.0.1", 9), Endpoint("::1", 9)
    assert Dialer(loop).can_reach(v4)
    assert Dialer(loop).can_reach(v6)
    assert not Dialer(loop, "127.0.0.1").can_reach(v6)
    assert not Dialer(loop, "::1").can_reach(v4)
    with pytest.raises(PeerError, match=r"\[::1\]:9: not reachable from 127.0.0.1"):
        await Dialer(loop, "127.0.0.1").dial(v6)


async def test_an_address_that_is_not_ours_fails_closed() -> None:
    with _server() as server:
        dialer = Dialer(asyncio.get_running_loop(), "192.0.2.1")
        with pytest.raises(PeerError, match="assign"):
            await dialer.dial(_at(server))
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_a_closed_port_is_a_peer_error() -> None:
    with _server() as server:
        at = _at(server)
    with pytest.raises(PeerError, match=r"(?i)refused") as caught:
        await Dialer(asyncio.get_running_loop()).dial(at)
    assert str(at) in str(caught.value)


class _Deaf:
    """A loop on which no connection is ever completed, as to a host that drops all packets."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None

    async def sock_connect(self, sock: socket.socket, address: tuple[str, int]) -> None:
        self.socket = sock
        await asyncio.Event().wait()


async def test_silence_is_a_time_out() -> None:
    loop = _Deaf()
    dialer = Dialer(loop)  # type: ignore[arg-type]
    with pytest.raises(PeerTimeoutError, match="no connection within"):
        await dialer.dial(Endpoint("127.0.0.1", 9), timeout_s=0.01)
    assert loop.socket is not None
    assert loop.socket.fileno() == -1


async def test_a_cancelled_dial_leaves_no_socket() -> None:
    loop = _Deaf()
    dialer = Dialer(loop)  # type: ignore[arg-type]
    dialling = asyncio.create_task(dialer.dial(Endpoint("127.0.0.1", 9)))
    await asyncio.sleep(0)
    dialling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialling
    assert loop.socket is not None
    assert loop.socket.fileno() == -1
