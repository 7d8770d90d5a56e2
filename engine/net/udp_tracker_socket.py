"""The sockets that UDP trackers are asked over: one of our own for each family, or, behind a proxy,
the engine's one UDP port, whose datagrams the proxy relays (BEP 15)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import asyncio_dgram

from engine.core.compact import Endpoint
from engine.discovery.udp_tracker import UdpExchange
from engine.errors import TrackerUnreachable
from engine.net.route import Route
from engine.net.udp_endpoint import Kind, UdpEndpoint

_INBOX = 4


class _Waiter(NamedTuple):
    """An exchange, and where it finds the datagrams that it expects; None = closed."""

    exchange: UdpExchange[Any]
    inbox: asyncio.Queue[bytes | None]


class _Inboxes:
    """Hands each datagram to the exchange that waits for it."""

    def __init__(self) -> None:
        self._waiters: dict[tuple[str, int], list[_Waiter]] = {}

    @contextlib.contextmanager
    def expecting(
        self, sender: tuple[str, int], exchange: UdpExchange[Any]
    ) -> Iterator[asyncio.Queue[bytes | None]]:
        """Collect the datagrams of `sender` that `exchange` expects."""
        waiter = _Waiter(exchange, asyncio.Queue(_INBOX))
        waiters = self._waiters.setdefault(sender, [])
        waiters.append(waiter)
        try:
            yield waiter.inbox
        finally:
            waiters.remove(waiter)
            if not waiters:
                self._waiters.pop(sender, None)

    def _hand_over(self, datagram: bytes, sender: tuple[str, int]) -> None:
        for waiter in self._waiters.get(sender, ()):
            if waiter.exchange.expects(datagram) and not waiter.inbox.full():
                waiter.inbox.put_nowait(datagram)

    def _end(self) -> None:
        for waiter in [each for waiters in self._waiters.values() for each in waiters]:
            while waiter.inbox.full():
                waiter.inbox.get_nowait()
            waiter.inbox.put_nowait(None)


class UdpTrackerSocket(_Inboxes):
    """A UDP socket of one family, through asyncio-dgram."""

    def __init__(self, family: socket.AddressFamily, route: Route) -> None:
        super().__init__()
        self._family = family
        self._route = route
        self._stream: Any = None
        self._receiving: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        """Open the socket unless it is. Raises OSError."""
        async with self._opening:
            if self._stream is not None:
                return
            sock = self._route.datagram(self._family)
            try:
                self._stream = await asyncio_dgram.from_socket(sock)
            except BaseException:
                sock.close()
                raise
            self._receiving = asyncio.create_task(self._receive(self._stream))

    async def close(self) -> None:
        async with self._opening:
            self._end()
            if self._stream is not None:
                self._stream.close()
            if self._receiving is not None:
                await self._receiving

    async def send(self, datagram: bytes, sockaddr: tuple[Any, ...]) -> None:
        """Send, or raise TrackerUnreachable if the system knows already that it cannot be done."""
        stream = self._stream
        if stream is None:
            raise TrackerUnreachable("the socket is closed")
        while _pending_error(stream) is not None:
            pass  # of another exchange, which has been told or has ended
        try:
            await stream.send(datagram, sockaddr)
        except asyncio_dgram.TransportClosed as error:
            raise TrackerUnreachable("the socket is closed") from error
        except OSError as error:
            raise TrackerUnreachable(error.strerror or str(error)) from error
        if (refusal := _pending_error(stream)) is not None:
            raise TrackerUnreachable(refusal.strerror or str(refusal)) from refusal

    async def _receive(self, stream: Any) -> None:
        try:
            while True:
                try:
                    datagram, sender = await stream.recv()
                except OSError:
                    continue  # of a send: its exchange has been told, or repeats itself
                self._hand_over(datagram, sender[:2])
        except asyncio_dgram.TransportClosed:
            self._stream = None


class RelayedTrackerSocket(_Inboxes):
    """The port whose datagrams a proxy relays, of both families."""

    def __init__(self, udp: UdpEndpoint, why_not: Callable[[], str]) -> None:
        """`why_not` says why nothing is relayed when that is so."""
        super().__init__()
        self._udp = udp
        self._why_not = why_not

    async def open(self) -> None:
        """Listen for answers."""
        self._udp.receivers[Kind.TRACKER] = self._on_datagram

    async def close(self) -> None:
        self._udp.receivers.pop(Kind.TRACKER, None)
        self._end()

    async def send(self, datagram: bytes, sockaddr: tuple[Any, ...]) -> None:
        """Send, or raise TrackerUnreachable if there is no relay now."""
        if not self._udp.send(datagram, Endpoint(sockaddr[0], sockaddr[1])):
            raise TrackerUnreachable(f"no UDP through the proxy: {self._why_not()}")

    def _on_datagram(self, datagram: memoryview, source: Endpoint) -> None:
        self._hand_over(bytes(datagram), (source.host, source.port))


def _pending_error(stream: Any) -> OSError | None:
    try:
        stream.exception  # noqa: B018 - the property raises what it finds
    except OSError as error:
        return error
    return None
