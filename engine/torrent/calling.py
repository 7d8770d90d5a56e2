"""Calling known addresses for one torrent: from the peer list to done handshakes, in its limits.

    peer list ─candidates─► dial ─► our handshake ─► theirs ─► `greeted`, which owns it from there

Every address that is taken from the list is reported back to it, whatever becomes of the call.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.errors import PeerError
from engine.net.peer_connection import PeerConnection
from engine.swarm.peer_list import PeerList
from engine.torrent.facilities import Facilities
from engine.torrent.greeting import Greeting
from engine.wire.handshake import Handshake

log = logging.getLogger(__name__)


class Calling:
    """The calls of one torrent that are under way."""

    __slots__ = (
        "_dialling",
        "_facilities",
        "_greeted",
        "_greeting",
        "_info_hash",
        "_is_connected",
        "_known",
        "is_closed",
    )

    def __init__(
        self,
        facilities: Facilities,
        known: PeerList,
        info_hash: InfoHash,
        *,
        greeted: Callable[[PeerConnection, Handshake, bytes], None],
        is_connected: Callable[[Endpoint], bool],
    ) -> None:
        """`greeted` is that of Greeting. `is_connected` tells whether an address that was called
        turned out to be that of a peer which is connected by another way."""
        self._facilities = facilities
        self._known = known
        self._info_hash = info_hash
        self._greeted = greeted
        self._is_connected = is_connected
        self._dialling: set[Endpoint] = set()
        self._greeting: set[PeerConnection] = set()
        """Connections we made that have not answered our handshake."""
        self.is_closed = False

    @property
    def count(self) -> int:
        """Addresses that are being dialled."""
        return len(self._dialling)

    def call_more(self, places: int, *, seeding: bool = False) -> None:
        """Dial as many known addresses as the session's limits and our own `places` allow."""
        facilities = self._facilities
        limits, connections = facilities.limits, facilities.connections
        room = min(
            limits.half_open - connections.dialling,
            limits.max_connections - connections.open - connections.dialling,
            places - len(self._dialling),
        )
        if room <= 0 or self.is_closed:
            return
        now = facilities.loop.time()
        for endpoint in self._known.candidates(now, room, seeding=seeding):
            if not facilities.dialer.can_reach(endpoint):
                self._failed(endpoint)
                continue
            self._known.dialling(endpoint, now)
            self._dialling.add(endpoint)
            connections.dialling += 1
            facilities.spawn(self._dial(endpoint))

    async def _dial(self, endpoint: Endpoint) -> None:
        facilities = self._facilities
        try:
            sock = await facilities.dialer.dial(endpoint)
        except PeerError as error:
            log.debug("%s: %s", self._info_hash, error)
            self._failed(endpoint)
            return
        finally:
            facilities.connections.dialling -= 1
            self._dialling.discard(endpoint)
        if self.is_closed:
            sock.close()
            self._failed(endpoint)
            return
        try:
            connection = PeerConnection(facilities.loop, sock, facilities.receive_buffer)
        except OSError:  # reset before we could ask who it is
            sock.close()
            self._failed(endpoint)
            return
        facilities.connections.open += 1
        greeting = Greeting(
            facilities.loop,
            connection,
            answer=lambda _hash: Handshake(self._info_hash, facilities.peer_id).encode(),
            greeted=self._on_greeted,
            failed=lambda error: self._on_greeting_failed(connection, endpoint, error),
        )
        self._greeting.add(connection)
        connection.start(greeting)
        try:
            greeting.call(self._info_hash)
        except PeerError as error:
            connection.close(error)

    def _on_greeted(self, connection: PeerConnection, handshake: Handshake, rest: bytes) -> None:
        self._greeting.discard(connection)
        if handshake.info_hash != InfoHash(self._info_hash[:20]):
            raise PeerError(f"{connection.remote} answered for another torrent")
        self._greeted(connection, handshake, rest)

    def _on_greeting_failed(
        self, connection: PeerConnection, endpoint: Endpoint, error: Exception | None
    ) -> None:
        self._greeting.discard(connection)
        log.debug("%s: %s did not greet: %s", self._info_hash, endpoint, error)
        self._facilities.connections.open -= 1
        if not self._is_connected(endpoint):
            self._failed(endpoint)

    def _failed(self, endpoint: Endpoint) -> None:
        now = self._facilities.loop.time()
        if self.is_closed:
            self._known.set_aside(endpoint, now)  # who has not answered yet has not failed
        else:
            self._known.disconnected(endpoint, now, failed=True)

    def close(self) -> None:
        self.is_closed = True
        for connection in list(self._greeting):
            connection.close(None)
