"""Asking UDP trackers, through asyncio-dgram: one socket a family for all of them (BEP 15)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import socket
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import asyncio_dgram

from engine.core.identifiers import InfoHash
from engine.discovery.announce import AnnounceReply, AnnounceRequest, ScrapeReply
from engine.discovery.udp_tracker import (
    ATTEMPTS,
    FIRST_TIMEOUT_S,
    SCRAPE_HASHES_PER_REQUEST,
    AnnounceQuestion,
    Connection,
    ScrapeQuestion,
    UdpExchange,
    UdpQuestion,
    tracker_address,
)
from engine.errors import TrackerError, TrackerReplyError, TrackerUnreachable

NAME_CACHE_S = 300.0
FAILED_NAME_CACHE_S = 30.0
NAME_TIMEOUT_S = 20.0
OTHER_FAMILY_DELAY_S = 2.0
"""A tracker that is silent so long on one of its families is asked on the other too."""

_MAX_CACHED = 1000
_INBOX = 4

T = TypeVar("T")


class _Address(NamedTuple):
    """Where a tracker is. `key` is what of a socket address tells two of them apart."""

    family: socket.AddressFamily
    sockaddr: tuple[Any, ...]

    @property
    def key(self) -> tuple[str, int]:
        return self.sockaddr[0], self.sockaddr[1]


class _Names(NamedTuple):
    """A look-up's result; no addresses = the name was not found."""

    addresses: list[_Address]
    expires_at: float


class UdpTrackerClient:
    """Announces and scrapes over UDP. Must be closed by whoever made it.

    With a `local_host` it speaks from that address or not at all, and only in its family.
    """

    def __init__(
        self,
        *,
        local_host: str | None = None,
        first_timeout_s: float = FIRST_TIMEOUT_S,
        attempts: int = ATTEMPTS,
        other_family_delay_s: float = OTHER_FAMILY_DELAY_S,
    ) -> None:
        """A datagram is repeated after `first_timeout_s`, then after twice that, `attempts` in
        all; see UdpExchange."""
        self._local_host = local_host
        self._first_timeout_s = first_timeout_s
        self._attempts = attempts
        self._other_family_delay_s = other_family_delay_s
        # Transaction ids are what keeps strangers from answering: they must not be guessable.
        self._rng = random.SystemRandom()
        self._sockets: dict[socket.AddressFamily, _Socket] = {}
        self._connections: dict[tuple[str, int], Connection] = {}
        self._names: dict[tuple[str, int], _Names] = {}
        self._is_closed = False

    async def announce(self, url: str, request: AnnounceRequest) -> AnnounceReply:
        """Announce to the tracker at udp://HOST:PORT. Raises TrackerError."""
        return await self._ask(url, functools.partial(AnnounceQuestion, request))

    async def scrape(self, url: str, info_hashes: Sequence[InfoHash]) -> ScrapeReply:
        """Scrape any number of torrents, in as many requests as it takes. Raises TrackerError."""
        reply = ScrapeReply({})
        for at in range(0, len(info_hashes), SCRAPE_HASHES_PER_REQUEST):
            batch = info_hashes[at : at + SCRAPE_HASHES_PER_REQUEST]
            reply.swarms.update((await self._scrape_batch(url, batch)).swarms)
        return reply

    async def _scrape_batch(self, url: str, info_hashes: Sequence[InfoHash]) -> ScrapeReply:
        question = ScrapeQuestion(info_hashes)
        return await self._ask(url, lambda _ipv6: question)

    async def close(self) -> None:
        """Close the sockets; whoever still waits for an answer gets TrackerUnreachable."""
        self._is_closed = True
        sockets = list(self._sockets.values())
        self._sockets.clear()
        for each in sockets:
            await each.close()

    async def _ask(self, url: str, question: Callable[[bool], UdpQuestion[T]]) -> T:
        addresses = await self._look_up(*tracker_address(url))
        return await _first_answer(
            [
                self._exchange(address, question(address.family == socket.AF_INET6))
                for address in addresses
            ],
            self._other_family_delay_s,
        )

    async def _look_up(self, host: str, port: int) -> list[_Address]:
        """One address of each family that we can use, in the resolver's order."""
        loop = asyncio.get_running_loop()
        names = self._names.get((host, port))
        if names is None or loop.time() >= names.expires_at:
            try:
                async with asyncio.timeout(NAME_TIMEOUT_S):
                    found = await loop.getaddrinfo(
                        host, port, family=self._family(), type=socket.SOCK_DGRAM
                    )
            except UnicodeError as error:
                raise TrackerReplyError(f"{host!r} is no name of a host") from error
            except OSError:
                found = []
            by_family: dict[int, _Address] = {}
            for family, _, _, _, sockaddr in found:
                if family in (socket.AF_INET, socket.AF_INET6):
                    by_family.setdefault(family, _Address(family, sockaddr))
            kept_s = NAME_CACHE_S if by_family else FAILED_NAME_CACHE_S
            names = _Names(list(by_family.values()), loop.time() + kept_s)
            _make_room(self._names)
            self._names[host, port] = names
        if not names.addresses:
            raise TrackerUnreachable(f"no such host: {host}")
        return names.addresses

    def _family(self) -> socket.AddressFamily:
        if self._local_host is None:
            return socket.AF_UNSPEC
        return socket.AF_INET6 if ":" in self._local_host else socket.AF_INET

    async def _exchange(self, address: _Address, question: UdpQuestion[T]) -> T:
        loop = asyncio.get_running_loop()
        sock = await self._socket(address.family)
        borrowed = self._connections.get(address.key)
        exchange = UdpExchange(
            question,
            now=loop.time(),
            rng=self._rng,
            connection=borrowed,
            first_timeout_s=self._first_timeout_s,
            attempts=self._attempts,
        )
        with sock.expecting(address.key, exchange) as inbox:
            while exchange.reply is None:
                try:
                    datagram = exchange.poll(loop.time())
                finally:
                    self._share(address, exchange.connection, borrowed)
                if datagram is not None:
                    await sock.send(datagram, address.sockaddr)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(exchange.next_at):
                        answer = await inbox.get()
                        if answer is None:
                            raise TrackerUnreachable("the client is closed")
                        exchange.received(answer, loop.time())
        return exchange.reply

    def _share(
        self, address: _Address, connection: Connection | None, borrowed: Connection | None
    ) -> None:
        """Let others use a connection that was obtained; forget one that proved useless."""
        if connection is not None:
            if connection is not borrowed:
                _make_room(self._connections)
                self._connections[address.key] = connection
        elif borrowed is not None and self._connections.get(address.key) is borrowed:
            del self._connections[address.key]

    async def _socket(self, family: socket.AddressFamily) -> _Socket:
        if self._is_closed:
            raise TrackerUnreachable("the client is closed")
        opened = self._sockets.get(family)
        if opened is None:
            any_host = "::" if family == socket.AF_INET6 else "0.0.0.0"
            opened = self._sockets[family] = _Socket(family, self._local_host or any_host)
        try:
            await opened.open()
        except OSError as error:
            if self._sockets.get(family) is opened:
                del self._sockets[family]
            raise TrackerUnreachable(f"no UDP socket: {error.strerror or error}") from error
        return opened


class _Waiter(NamedTuple):
    """An exchange, and where it finds the datagrams that it expects; None = closed."""

    exchange: UdpExchange[Any]
    inbox: asyncio.Queue[bytes | None]


class _Socket:
    """One UDP socket that hands each datagram to the exchange that waits for it."""

    def __init__(self, family: socket.AddressFamily, local_host: str) -> None:
        self._family = family
        self._local_host = local_host
        self._stream: Any = None
        self._receiving: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._waiters: dict[tuple[str, int], list[_Waiter]] = {}

    async def open(self) -> None:
        """Open the socket unless it is. Raises OSError."""
        async with self._opening:
            if self._stream is not None:
                return
            sock = socket.socket(self._family, socket.SOCK_DGRAM)
            try:
                sock.setblocking(False)
                sock.bind((self._local_host, 0))
                self._stream = await asyncio_dgram.from_socket(sock)
            except BaseException:
                sock.close()
                raise
            self._receiving = asyncio.create_task(self._receive(self._stream))

    async def close(self) -> None:
        async with self._opening:
            for waiter in [each for waiters in self._waiters.values() for each in waiters]:
                while waiter.inbox.full():
                    waiter.inbox.get_nowait()
                waiter.inbox.put_nowait(None)
            if self._stream is not None:
                self._stream.close()
            if self._receiving is not None:
                await self._receiving

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
                for waiter in self._waiters.get(sender[:2], ()):
                    if waiter.exchange.expects(datagram) and not waiter.inbox.full():
                        waiter.inbox.put_nowait(datagram)
        except asyncio_dgram.TransportClosed:
            self._stream = None


def _pending_error(stream: Any) -> OSError | None:
    try:
        stream.exception  # noqa: B018 - the property raises what it finds
    except OSError as error:
        return error
    return None


async def _first_answer(asking: Sequence[Coroutine[Any, Any, T]], delay_s: float) -> T:
    """Run the first, the next one after `delay_s` or once all before it failed, and so on; return
    the first result. Raises the error of one that was answered rather than of one that was not."""
    left = list(asking)
    running: set[asyncio.Task[T]] = set()
    failure: TrackerError | None = None
    try:
        while left or running:
            if left:
                running.add(asyncio.create_task(left.pop(0)))
            done, running = await asyncio.wait(
                running,
                timeout=delay_s if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                try:
                    return task.result()
                except TrackerError as error:
                    if failure is None or isinstance(failure, TrackerUnreachable):
                        failure = error
        raise failure or TrackerUnreachable("nobody to ask")
    finally:
        for coroutine in left:
            coroutine.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _make_room(cache: dict[Any, Any]) -> None:
    """Drop the oldest entry of a full cache."""
    if len(cache) >= _MAX_CACHED:
        del cache[next(iter(cache))]
