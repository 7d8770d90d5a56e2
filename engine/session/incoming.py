"""Peers that come to us: accept, hear which torrent they want, hand them to it.

Plain or encrypted is told by their first bytes, unless the user wants nothing but plain.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from functools import partial

from engine.core.identifiers import InfoHash
from engine.core.ip_gate import IpGate
from engine.errors import PeerError, SeedwrightError
from engine.net.connection import Connection
from engine.net.encrypted_start import IncomingStart
from engine.net.listener import Listener
from engine.net.peer_connection import PeerConnection
from engine.net.route import Route
from engine.session.wire_index import WireIndex
from engine.torrent.facilities import ConnectionCount, Limits
from engine.torrent.greeting import Greeting
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
        limits: Limits,
        torrents: WireIndex,
        route: Route,
        gate: IpGate,
    ) -> None:
        self._loop = loop
        self._receive_buffer = receive_buffer
        self._connections = connections
        self._max_connections = limits.max_connections
        self._encryption = limits.encryption
        self._torrents = torrents
        self._gate = gate
        self._greeting: dict[Connection, None] = {}
        """The oldest first."""
        self._max_greeting = max(_ALWAYS_GREETING, limits.max_connections // _GREETING_SHARE)
        self.listener = Listener(loop, self._on_accepted, route)

    def _on_accepted(self, sock: socket.socket) -> None:
        try:
            connection = PeerConnection(self._loop, sock, self._receive_buffer)
        except OSError:  # reset before we could ask who it is
            sock.close()
            return
        self.accept(connection)

    def accept(self, connection: Connection) -> None:
        """Greet whoever connected, or hang up if it is filtered or there is no place."""
        if not self._gate.admits(connection.remote.host):
            connection.close()
            return
        if self._connections.open >= self._max_connections:
            self._connections.shortage.felt(self._loop.time())
            connection.close()
            return
        self._connections.open += 1
        self._greeting[connection] = None
        if len(self._greeting) > self._max_greeting:
            self._drop_one_greeting()
        if not self._encryption.takes_encrypted:
            self._greet(connection, connection)
            return
        IncomingStart(
            self._loop,
            connection,
            self._encryption,
            find=self._wire_hash,
            started=partial(self._greet, connection),
            failed=partial(self._on_failed, connection),
        ).begin()

    def _greet(self, accepted: Connection, connection: Connection, said: bytes = b"") -> None:
        """Expect a handshake from who was `accepted`, on what became of that `connection`."""
        greeting = Greeting(
            self._loop,
            connection,
            answer=self._answer,
            greeted=partial(self._on_greeted, accepted),
            failed=partial(self._on_failed, accepted),
        )
        connection.start(greeting)
        if said:
            greeting.on_data(memoryview(said))

    def _wire_hash(self, mark: bytes) -> bytes | None:
        torrent = self._torrents.find_marked(mark)
        return None if torrent is None else bytes(torrent.info_hash[:20])

    def _answer(self, info_hash: InfoHash) -> bytes | None:
        torrent = self._torrents.find(info_hash)
        if torrent is None:
            return None
        try:
            return torrent.wake().our_handshake()
        except SeedwrightError as error:
            torrent.fail(error)
            return None

    def _on_greeted(
        self, accepted: Connection, connection: Connection, handshake: Handshake, rest: bytes
    ) -> None:
        torrent = self._torrents.find(handshake.info_hash)
        if torrent is None:
            raise PeerError(f"{connection.remote} came for a torrent that has stopped")
        self._greeting.pop(accepted, None)
        torrent.wake().peers.attach(connection, handshake, rest, is_incoming=True)

    def _on_failed(self, connection: Connection, error: Exception | None) -> None:
        log.debug("%s did not get in: %s", connection.remote, error)
        self._connections.open -= 1
        self._greeting.pop(connection, None)

    def _drop_one_greeting(self) -> None:
        """Hang up on the host that has most connections here: on the one that is silent longest."""
        hosts = Counter(connection.remote.host for connection in self._greeting)
        host, _ = hosts.most_common(1)[0]
        oldest = next(each for each in self._greeting if each.remote.host == host)
        oldest.close(PeerError(f"{oldest.remote} said nothing while many others came"))

    def drop_forbidden(self) -> None:
        """Hang up on those that a new filter forbids."""
        for connection in list(self._greeting):
            if self._gate.forbids(connection.remote.host):
                self._gate.closed += 1
                connection.close(PeerError(f"{connection.remote} is filtered"))

    def close(self) -> None:
        self.listener.close()
        for connection in list(self._greeting):
            connection.close(None)
