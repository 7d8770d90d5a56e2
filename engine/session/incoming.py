"""Peers that come to us: accept, hear which torrent they want, hand them to it."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable

from engine.core.identifiers import InfoHash
from engine.errors import PeerError, SeedwrightError
from engine.net.listener import Listener
from engine.net.peer_connection import PeerConnection
from engine.torrent.facilities import ConnectionCount
from engine.torrent.greeting import Greeting
from engine.torrent.torrent import Torrent
from engine.wire.handshake import Handshake

log = logging.getLogger(__name__)

_GREETING_SHARE = 4
"""One in so many places is for those who have not said which torrent they want: a host that only
connects must keep neither others out nor us from dialling."""
_ALWAYS_GREETING = 16


class Incoming:
    """Listens, and greets whoever connects."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        receive_buffer: memoryview,
        connections: ConnectionCount,
        max_connections: int,
        find: Callable[[bytes], Torrent | None],
    ) -> None:
        """`find` maps the 20 bytes of a handshake to a running torrent."""
        self._loop = loop
        self._receive_buffer = receive_buffer
        self._connections = connections
        self._max_connections = max_connections
        self._find = find
        self._greeting: dict[PeerConnection, None] = {}
        """The oldest first."""
        self._max_greeting = max(_ALWAYS_GREETING, max_connections // _GREETING_SHARE)
        self.listener = Listener(loop, self._on_accepted)

    def _on_accepted(self, sock: socket.socket) -> None:
        if self._connections.open >= self._max_connections:
            sock.close()
            return
        try:
            connection = PeerConnection(self._loop, sock, self._receive_buffer)
        except OSError:  # reset before we could ask who it is
            sock.close()
            return
        self._connections.open += 1
        self._greeting[connection] = None
        if len(self._greeting) > self._max_greeting:
            self._drop_one_greeting()
        connection.start(
            Greeting(
                self._loop,
                connection,
                answer=self._answer,
                greeted=self._on_greeted,
                failed=lambda error: self._on_failed(connection, error),
            )
        )

    def _answer(self, info_hash: InfoHash) -> bytes | None:
        torrent = self._find(info_hash)
        if torrent is None:
            return None
        try:
            return torrent.wake().our_handshake()
        except SeedwrightError as error:
            torrent.fail(error)
            return None

    def _on_greeted(self, connection: PeerConnection, handshake: Handshake, rest: bytes) -> None:
        torrent = self._find(handshake.info_hash)
        if torrent is None:
            raise PeerError(f"{connection.remote} came for a torrent that has stopped")
        self._greeting.pop(connection, None)
        torrent.wake().peers.attach(connection, handshake, rest, is_incoming=True)

    def _on_failed(self, connection: PeerConnection, error: Exception | None) -> None:
        log.debug("%s did not get in: %s", connection.remote, error)
        self._connections.open -= 1
        self._greeting.pop(connection, None)

    def _drop_one_greeting(self) -> None:
        """Hang up on the host that has most connections here: on the one that is silent longest."""
        hosts = Counter(connection.remote.host for connection in self._greeting)
        host, _ = hosts.most_common(1)[0]
        oldest = next(each for each in self._greeting if each.remote.host == host)
        oldest.close(PeerError(f"{oldest.remote} said nothing while many others came"))

    def close(self) -> None:
        self.listener.close()
        for connection in list(self._greeting):
            connection.close(None)
