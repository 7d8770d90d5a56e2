"""The nodes that a newcomer joins the DHT by: names, looked up when nobody else is known (BEP 5).

Looked up again only after a while, longer each time, until somebody answers.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import random
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from engine.core.compact import Endpoint, endpoint, split_host_port
from engine.discovery.dht import krpc
from engine.discovery.dht.messages import Ping, Query, Reply
from engine.discovery.dht.node_id import NodeId
from engine.errors import BencodeError, InputError
from engine.net import relay_names
from engine.net.route import Route
from engine.net.udp_endpoint import UdpEndpoint

log = logging.getLogger(__name__)

NAME_TIMEOUT_S = 20.0
_MAX_ANSWER_BYTES = 2048
FIRST_AGAIN_S = 15.0
LAST_AGAIN_S = 900.0

LookUp = Callable[[str, int], Awaitable[Iterable[Endpoint]]]
"""Finds the addresses of a node by its name. Raises OSError, UnicodeError."""


def by_route(route: Route) -> LookUp:
    """Look up as names are."""

    async def look_up(host: str, port: int) -> list[Endpoint]:
        found = await route.look_up(host, port, socket.SOCK_DGRAM)
        return [endpoint(str(address.sockaddr[0]), port) for address in found]

    return look_up


def by_answer(udp: UdpEndpoint, rng: random.Random) -> LookUp:
    """Ping the name through the relay of a proxy, which looks it up, and see who answers."""

    async def look_up(host: str, port: int) -> list[Endpoint]:
        transaction = rng.randbytes(8)
        ping = krpc.encode(Query(transaction, NodeId(rng.randbytes(20)), Ping(), is_read_only=True))
        answers = functools.partial(_answers, transaction)
        return [await relay_names.find(udp, host, port, ping, answers)]

    return look_up


def _answers(transaction: bytes, datagram: memoryview) -> bool:
    if datagram[0] != ord("d") or len(datagram) > _MAX_ANSWER_BYTES:
        return False
    try:
        answer = krpc.decode(bytes(datagram))
    except (BencodeError, InputError):
        return False
    return isinstance(answer, Reply) and answer.transaction == transaction


class Bootstrap:
    """`endpoints` is what is known; `found` is called when that may be more than before."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        look_up: LookUp,
        names: tuple[str, ...],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        found: Callable[[], None],
    ) -> None:
        """`names` are HOST:PORT."""
        self.endpoints: tuple[Endpoint, ...] = ()
        self.is_asking = False
        self._loop = loop
        self._look_up_host = look_up
        self._names = names
        self._spawn = spawn
        self._found = found
        self._not_before = -math.inf
        self._again_s = FIRST_AGAIN_S

    def add(self, node: Endpoint) -> None:
        """Take one that the user names, before all others."""
        self.endpoints = tuple(dict.fromkeys((node, *self.endpoints)))

    def need(self) -> None:
        """Nobody is known, or nobody answers. Cheap; say so as often as it is true."""
        if self._names and not self.is_asking and self._loop.time() >= self._not_before:
            self.is_asking = True
            self._spawn(self._ask())

    def joined(self) -> None:
        """Somebody answers."""
        self._again_s = FIRST_AGAIN_S

    async def _ask(self) -> None:
        asking = [asyncio.ensure_future(self._look_up(name)) for name in self._names]
        is_found = False
        try:
            for answer in asyncio.as_completed(asking):
                if found := tuple(await answer):
                    self.endpoints = tuple(dict.fromkeys((*found, *self.endpoints)))
                    self._found()  # who is there does not wait for names that lead nowhere
                    is_found = True
        finally:
            for each in asking:
                each.cancel()
            self.is_asking = False
            self._not_before = self._loop.time() + self._again_s
            self._again_s = min(2 * self._again_s, LAST_AGAIN_S)
        if not is_found:
            log.info("no name in the setting dht.bootstrap can be looked up; trying again later")
            self._found()

    async def _look_up(self, name: str) -> Iterable[Endpoint]:
        try:
            host, port = split_host_port(name)
            async with asyncio.timeout(NAME_TIMEOUT_S):
                return await self._look_up_host(host, port)
        except (OSError, UnicodeError, InputError) as error:
            log.debug("bootstrap node %s: %s", name, error)
            return ()
