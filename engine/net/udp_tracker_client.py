"""Asking UDP trackers, through asyncio-dgram: one socket a family for all of them (BEP 15)."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import socket
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

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
    connect_question,
    is_connect_answer,
    tracker_address,
)
from engine.errors import TrackerError, TrackerReplyError, TrackerUnreachable
from engine.net import relay_names
from engine.net.names import literal
from engine.net.route import Route
from engine.net.udp_endpoint import UdpEndpoint
from engine.net.udp_tracker_socket import RelayedTrackerSocket, UdpTrackerSocket

NAME_CACHE_S = 300.0
FAILED_NAME_CACHE_S = 30.0
NAME_TIMEOUT_S = 20.0
OTHER_FAMILY_DELAY_S = 2.0
"""A tracker that is silent so long on one of its families is asked on the other too."""

_MAX_CACHED = 1000
_FAMILIES = {socket.AF_INET: frozenset((False,)), socket.AF_INET6: frozenset((True,))}
"""As a route tells of those that changed; the socket of a relay has none."""

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
    """Announces and scrapes over UDP. Must be closed by whoever made it."""

    def __init__(
        self,
        route: Route,
        *,
        udp: UdpEndpoint | None = None,
        first_timeout_s: float = FIRST_TIMEOUT_S,
        attempts: int = ATTEMPTS,
        other_family_delay_s: float = OTHER_FAMILY_DELAY_S,
    ) -> None:
        """A datagram is repeated after `first_timeout_s`, then after twice that, `attempts` in all;
        see UdpExchange. `udp` is the port whose datagrams a proxy relays; used if there is one."""
        self._route = route
        self._relayed = udp if route.proxy is not None else None
        self._first_timeout_s = first_timeout_s
        self._attempts = attempts
        self._other_family_delay_s = other_family_delay_s
        # Transaction ids are what keeps strangers from answering: they must not be guessable.
        self._rng = random.SystemRandom()
        self._sockets: dict[socket.AddressFamily, UdpTrackerSocket | RelayedTrackerSocket] = {}
        self._connections: dict[tuple[str, int], Connection] = {}
        self._names: dict[tuple[str, int], _Names] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False
        route.on_change.append(self._on_another_way)

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
        if self._on_another_way in self._route.on_change:
            self._route.on_change.remove(self._on_another_way)
        self._end(self._sockets)
        await asyncio.gather(*self._ending)

    def _on_another_way(self, changed: frozenset[bool]) -> None:
        """A socket of a way that is gone is of no use for the next one; nor is a connection id,
        which is good for the address that it was asked for from."""
        self._end([each for each in self._sockets if changed & _FAMILIES.get(each, frozenset())])
        self._connections.clear()
        self._names.clear()

    def _end(self, families: Iterable[socket.AddressFamily]) -> None:
        for family in list(families):
            ending = asyncio.create_task(self._sockets.pop(family).close())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

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
                    found = await self._find(host, port)
            except UnicodeError as error:
                raise TrackerReplyError(f"{host!r} is no name of a host") from error
            except OSError as error:
                if waiting := self._route.waiting:
                    raise TrackerUnreachable(waiting) from error  # which says nothing of the name
                found = []
            by_family: dict[int, _Address] = {}
            for family, sockaddr in found:
                by_family.setdefault(family, _Address(family, sockaddr))
            kept_s = NAME_CACHE_S if by_family else FAILED_NAME_CACHE_S
            names = _Names(list(by_family.values()), loop.time() + kept_s)
            _make_room(self._names)
            self._names[host, port] = names
        if not names.addresses:
            raise TrackerUnreachable(f"no such host: {host}")
        return names.addresses

    def _why_no_relay(self) -> str:
        proxy = self._route.proxy
        return "" if proxy is None else proxy.why_no_relay

    async def _find(self, host: str, port: int) -> Sequence[tuple[socket.AddressFamily, Any]]:
        if self._relayed is None or self._route.looks_up_names or literal(host) is not None:
            return await self._route.look_up(host, port, socket.SOCK_DGRAM)
        transaction = self._rng.getrandbits(32)
        if not self._relayed.families:
            raise TrackerUnreachable(f"no UDP through the proxy: {self._why_no_relay()}")
        found = await relay_names.find(
            self._relayed,
            host,
            port,
            connect_question(transaction),
            lambda answer: is_connect_answer(answer, transaction),
        )
        return [(socket.AF_INET6 if found.is_ipv6 else socket.AF_INET, tuple(found))]

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
                            raise TrackerUnreachable("the socket is closed")
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

    async def _socket(
        self, family: socket.AddressFamily
    ) -> UdpTrackerSocket | RelayedTrackerSocket:
        if self._is_closed:
            raise TrackerUnreachable("the client is closed")
        if self._relayed is not None:
            family = socket.AF_UNSPEC
        opened = self._sockets.get(family)
        if opened is None:
            opened = (
                UdpTrackerSocket(family, self._route)
                if self._relayed is None
                else RelayedTrackerSocket(self._relayed, self._why_no_relay)
            )
            self._sockets[family] = opened
        try:
            await opened.open()
        except OSError as error:
            if self._sockets.get(family) is opened:
                del self._sockets[family]
            raise TrackerUnreachable(f"no UDP socket: {error.strerror or error}") from error
        return opened


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
