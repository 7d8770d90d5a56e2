"""Dialling peers: connections by the engine's route, with a time-out."""

from __future__ import annotations

import asyncio
import os
import socket

from engine.core.compact import Endpoint
from engine.errors import PeerError, PeerTimeoutError
from engine.net.connection import Connection, Transport
from engine.net.dial_race import Dial, DialRace
from engine.net.peer_connection import PeerConnection
from engine.net.route import Route
from engine.net.utp_multiplexer import UtpMultiplexer

CONNECT_TIMEOUT_S = 10.0


class Dialer:
    """Connects to peers, by a route."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receive_buffer: memoryview,
        route: Route,
        *,
        utp: UtpMultiplexer | None = None,
        uses_tcp: bool = True,
    ) -> None:
        """`receive_buffer` is what all connections of the loop share; with `utp` that is tried,
        too."""
        self._loop = loop
        self._receive_buffer = receive_buffer
        self._route = route
        self._utp = utp
        self._uses_tcp = uses_tcp
        ways: dict[Transport, Dial] = {Transport.TCP: self._connect} if uses_tcp else {}
        if utp is not None:
            ways[Transport.UTP] = utp.dial
        self._race = DialRace(ways)

    def can_reach(self, peer: Endpoint) -> bool:
        """False if there is no way to addresses of its family."""
        if self._utp is not None and self._utp.can_reach(peer):
            return True
        return self._uses_tcp and self._route.can_reach(peer)

    @property
    def speaks_utp(self) -> bool:
        return self._utp is not None

    def can_punch(self, peer: Endpoint) -> bool:
        """True if uTP leads to addresses of its family."""
        return self._utp is not None and self._utp.can_reach(peer)

    async def punch(self, peer: Endpoint, timeout_s: float = CONNECT_TIMEOUT_S) -> Connection:
        """Connect by uTP alone, to one that dials us at the same time (BEP 55). Raises
        PeerError; the connection is the caller's, who must start or close it."""
        if self._utp is None:
            raise PeerError(f"{peer}: no way there by uTP")
        return await self._utp.dial(peer, timeout_s)

    async def dial(self, peer: Endpoint, timeout_s: float = CONNECT_TIMEOUT_S) -> Connection:
        """Connect. Raises PeerError; the connection is the caller's, who must start or close it."""
        return await self._race.dial(peer, timeout_s)

    def is_useless(self, peer: Endpoint, transport: Transport) -> None:
        """A connection that was dialled led to nothing; another transport may do better."""
        self._race.is_useless(peer, transport)

    async def _connect(self, peer: Endpoint, timeout_s: float) -> Connection:
        sock = await self._dial_tcp(peer, timeout_s)
        try:
            return PeerConnection(self._loop, sock, self._receive_buffer, peer)
        except OSError as error:  # reset before we could ask who it is
            sock.close()
            raise PeerError(f"{peer}: {error.strerror}") from error

    async def _dial_tcp(self, peer: Endpoint, timeout_s: float) -> socket.socket:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._route.connect(peer)
        except TimeoutError as error:
            raise PeerTimeoutError(f"{peer}: no connection within {timeout_s:.0f} s") from error
        except OSError as error:
            # asyncio puts its own words in place of the system's.
            why = os.strerror(error.errno) if error.errno else str(error)
            raise PeerError(f"{peer}: {why}") from error
