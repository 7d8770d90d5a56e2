"""The sockets that dnspython asks name servers over: those of the route."""

# ruff: noqa: ASYNC109 - the time-outs are dnspython's arguments

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import dns.asyncbackend
import dns.exception

MakeSocket = Callable[[int, int, tuple[Any, ...]], Awaitable[socket.socket]]
"""Family, kind, address of a name server → a connected, non-blocking socket. Raises OSError."""

T = TypeVar("T")


async def _within(what: Awaitable[T], timeout: float | None) -> T:
    try:
        async with asyncio.timeout(timeout):
            return await what
    except TimeoutError:
        raise dns.exception.Timeout(timeout=timeout) from None  # type: ignore[no-untyped-call]


class NameSocket(dns.asyncbackend.DatagramSocket, dns.asyncbackend.StreamSocket):
    """A connected socket to a name server."""

    def __init__(self, sock: socket.socket, far: tuple[Any, ...]) -> None:
        super().__init__(sock.family, sock.type)
        self._sock = sock
        self._far = far
        self._loop = asyncio.get_running_loop()

    async def sendto(self, what: bytes, destination: Any, timeout: float | None) -> int:
        await _within(self._loop.sock_sendall(self._sock, what), timeout)
        return len(what)

    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:
        return await _within(self._loop.sock_recv(self._sock, size), timeout), self._far

    async def sendall(self, what: bytes, timeout: float | None) -> None:
        await _within(self._loop.sock_sendall(self._sock, what), timeout)

    async def recv(self, size: int, timeout: float | None) -> bytes:
        return await _within(self._loop.sock_recv(self._sock, size), timeout)

    async def close(self) -> None:
        self._sock.close()

    async def getpeername(self) -> Any:
        return self._far

    async def getsockname(self) -> Any:
        return self._sock.getsockname()


class NameSockets(dns.asyncbackend.Backend):
    """Makes them."""

    def __init__(self, make: MakeSocket) -> None:
        self._make = make

    def name(self) -> str:
        return "seedwright"

    async def make_socket(
        self,
        af: int,
        socktype: int,
        proto: int = 0,
        source: Any = None,
        destination: Any = None,
        timeout: float | None = None,
        ssl_context: Any = None,
        server_hostname: str | None = None,
    ) -> NameSocket:
        sock = await _within(self._make(af, socktype, destination), timeout)
        return NameSocket(sock, destination)

    def datagram_connection_required(self) -> bool:
        return True

    async def sleep(self, interval: float) -> None:
        await asyncio.sleep(interval)

    async def wait_for(self, awaitable: Awaitable[T], timeout: float | None) -> T:
        return await _within(awaitable, timeout)
