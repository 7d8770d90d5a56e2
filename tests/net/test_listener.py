"""Listening: both families on one port, one address when told, a pause when descriptors run out."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from engine.core.compact import Endpoint
from engine.errors import InputError
from engine.net import listener as listener_module
from engine.net.listener import Listener
from engine.net.route import Route
from tests.fakes.ports import free_port
from tests.tracker.asking import needs_ipv6


class Guests:
    """Takes what a listener accepts."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []
        self.came = asyncio.Event()
        self.listener = Listener(asyncio.get_running_loop(), self._accepted, Route())

    def listen(self, host: str | None, port: int) -> None:
        """As an engine does whose route is held to `host`."""
        self.listener._route = Route(host)
        self.listener.open(port)

    def _accepted(self, sock: socket.socket) -> None:
        self.sockets.append(sock)
        self.came.set()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.sockets) < count:
                await self.came.wait()
                self.came.clear()

    def close(self) -> None:
        self.listener.close()
        for sock in self.sockets:
            sock.close()


@pytest.fixture
async def guests() -> AsyncIterator[Guests]:
    guests = Guests()
    yield guests
    guests.close()


def _visit(at: Endpoint) -> socket.socket:
    return socket.create_connection(at)


async def test_whoever_connects_is_handed_on(guests: Guests) -> None:
    guests.listen("127.0.0.1", 0)
    (at,) = guests.listener.endpoints
    assert at.host == "127.0.0.1"
    assert at.port == guests.listener.port > 0
    with contextlib.ExitStack() as stack:
        visitors = [stack.enter_context(_visit(at)) for _ in range(100)]
        await guests.until(100)
        assert not any(sock.getblocking() for sock in guests.sockets)
        assert {sock.getpeername() for sock in guests.sockets} == {
            visitor.getsockname() for visitor in visitors
        }


@needs_ipv6
async def test_everywhere_means_both_families_on_one_port(guests: Guests) -> None:
    guests.listen(None, 0)
    v4, v6 = guests.listener.endpoints
    assert (v4.host, v6.host) == ("0.0.0.0", "::")
    assert v4.port == v6.port == guests.listener.port
    with _visit(Endpoint("127.0.0.1", v4.port)), _visit(Endpoint("::1", v6.port)):
        await guests.until(2)


@needs_ipv6
async def test_a_port_taken_in_one_family_still_listens_in_the_other(guests: Guests) -> None:
    port = free_port("0.0.0.0")
    with socket.socket(socket.AF_INET6) as taken:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind(("::", port))
        taken.listen()
        guests.listen(None, port)
        assert [at.host for at in guests.listener.endpoints] == ["0.0.0.0"]


@needs_ipv6
async def test_one_address_of_ipv6(guests: Guests) -> None:
    guests.listen("::1", 0)
    (at,) = guests.listener.endpoints
    with _visit(at):
        await guests.until(1)


async def test_an_address_or_port_that_cannot_be_had_is_named(guests: Guests) -> None:
    with pytest.raises(InputError, match=r"192\.0\.2\.1 port 7"):
        guests.listen("192.0.2.1", 7)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"127\.0\.0\.1 port {port}: .*in use"):
            guests.listen("127.0.0.1", port)
    assert guests.listener.endpoints == []
    assert guests.listener.port == 0


async def test_closed_nobody_gets_in(guests: Guests) -> None:
    guests.listen("127.0.0.1", 0)
    (at,) = guests.listener.endpoints
    guests.listener.close()
    guests.listener.close()
    assert guests.listener.endpoints == []
    with pytest.raises(ConnectionRefusedError):
        _visit(at)


class _Exhausted:
    """A listening socket whose next `accept` finds no descriptor free."""

    def __init__(self, inner: socket.socket, failing: Callable[[], int | None]) -> None:
        self._inner, self._failing = inner, failing

    def accept(self) -> tuple[socket.socket, object]:
        if (code := self._failing()) is not None:
            raise OSError(code, "no more")
        return self._inner.accept()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


async def test_out_of_descriptors_it_pauses_and_goes_on(
    guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a busy loop around a connection that cannot be taken."""
    monkeypatch.setattr(listener_module, "_OUT_OF_DESCRIPTORS_PAUSE_S", 0.02)
    tries = 0

    def failing() -> int | None:
        nonlocal tries
        tries += 1
        return errno.EMFILE if tries < 3 else None

    listening = Route.listening
    monkeypatch.setattr(
        Route,
        "listening",
        lambda *args: [_Exhausted(sock, failing) for sock in listening(*args)],
    )
    guests.listen("127.0.0.1", 0)
    (at,) = guests.listener.endpoints
    with _visit(at):
        await guests.until(1)
    assert tries <= 4
