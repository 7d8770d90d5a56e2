"""Calling known addresses for one torrent: from the peer list to done handshakes, in its limits.

    peer list ─candidates─► dial ─► our handshake ─► theirs ─► `greeted`, which owns it from there
                             ▲          │ plain or encrypted; who hangs up is dialled once more,
                             └──────────┘ the other way, if the user lets us

Every address that is taken from the list is reported back to it, whatever becomes of the call.
An address that a relay named (BEP 55) is not taken from it, and is learned if it answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.errors import PeerError, PeerTimeoutError, ProtocolError
from engine.net.connection import Connection, Encryption
from engine.net.encrypted_start import OutgoingStart
from engine.swarm.peer_list import PeerList, PeerSource
from engine.torrent.dht_door import our_reserved
from engine.torrent.facilities import Facilities
from engine.torrent.greeting import Greeting
from engine.wire.handshake import Handshake

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Call:
    """One try to speak with an address."""

    endpoint: Endpoint
    ways: tuple[bool, ...]
    """How to begin, one after the other; True is encrypted."""
    is_greeted: bool = False
    """They answered: however it goes on, the other way would be no better."""
    is_punch: bool = False
    """They dial us at the same time: by uTP, and the list knows nothing of it."""


class Calling:
    """The calls of one torrent that are under way."""

    __slots__ = (
        "_dialling",
        "_facilities",
        "_greeted",
        "_greeting",
        "_info_hash",
        "_is_connected",
        "_is_private",
        "_known",
        "_unreachable",
        "is_closed",
    )

    def __init__(
        self,
        facilities: Facilities,
        known: PeerList,
        info_hash: InfoHash,
        *,
        greeted: Callable[[Connection, Handshake, bytes], None],
        is_connected: Callable[[Endpoint], bool],
        is_private: bool = False,
        unreachable: Callable[[Endpoint], None] = lambda endpoint: None,
    ) -> None:
        """`greeted` is that of Greeting. `is_connected` tells whether an address that was called
        turned out to be that of a peer which is connected by another way. `unreachable` is told
        of those to which no connection came about."""
        self._facilities = facilities
        self._known = known
        self._info_hash = info_hash
        self._greeted = greeted
        self._is_connected = is_connected
        self._unreachable = unreachable
        self._is_private = is_private
        self._dialling: set[_Call] = set()
        self._greeting: set[Connection] = set()
        """Connections we made that have not answered our handshake."""
        self.is_closed = False

    @property
    def count(self) -> int:
        """Addresses that are being dialled."""
        return len(self._dialling)

    def call_more(self, places: int, *, seeding: bool = False) -> None:
        """Dial as many known addresses as the session's limits and our own `places` allow."""
        facilities = self._facilities
        room = self._room(places)
        now = facilities.loop.time()
        if room <= 0:
            self._heed_shortage(places, now, seeding=seeding)
            return
        for endpoint in self._known.candidates(now, room, seeding=seeding):
            if not facilities.dialer.can_reach(endpoint):
                self._failed(_Call(endpoint, ()))
                continue
            self._known.dialling(endpoint, now)
            self._begin(_Call(endpoint, self._ways(endpoint)))

    def _heed_shortage(self, places: int, now: float, *, seeding: bool) -> None:
        """Let those make room who are of no use if only the session has no place for a call."""
        connections, limits = self._facilities.connections, self._facilities.limits
        if (
            connections.open >= limits.max_connections
            and places > len(self._dialling)
            and self._known.next_try_at(seeding=seeding) <= now
        ):
            connections.shortage.felt(now)

    def punch(self, endpoint: Endpoint, places: int) -> None:
        """Dial an address by uTP that dials us at the same time, unless we do already or it is
        filtered."""
        is_punched = any(call.is_punch and call.endpoint == endpoint for call in self._dialling)
        is_forbidden = self._facilities.gate.forbids(endpoint.host)
        if self._room(places) > 0 and not is_punched and not is_forbidden:
            self._begin(_Call(endpoint, self._ways(endpoint), is_punch=True))

    def _room(self, places: int) -> int:
        """How many more may be dialled."""
        facilities = self._facilities
        if self.is_closed or facilities.route.waiting or not facilities.gate.is_open:
            return 0
        limits, connections = facilities.limits, facilities.connections
        return min(
            limits.half_open - connections.dialling,
            limits.max_connections - connections.open - connections.dialling,
            places - len(self._dialling),
        )

    def _ways(self, endpoint: Endpoint) -> tuple[bool, ...]:
        return self._facilities.limits.encryption.starts(self._known.encrypts(endpoint))

    def _begin(self, call: _Call) -> None:
        self._dialling.add(call)
        self._facilities.connections.dialling += 1
        self._facilities.spawn(self._dial(call))

    async def _dial(self, call: _Call) -> None:
        facilities = self._facilities
        try:
            dialer = facilities.dialer
            dial = dialer.punch if call.is_punch else dialer.dial
            connection = await dial(call.endpoint)
        except PeerError as error:
            log.debug("%s: %s", self._info_hash, error)
            self._failed(call)
            if not call.is_punch:
                self._unreachable(call.endpoint)
            return
        finally:
            facilities.connections.dialling -= 1
            self._dialling.discard(call)
        if self.is_closed or facilities.gate.forbids(call.endpoint.host):
            connection.close()
            self._failed(call)
            return
        facilities.connections.open += 1
        self._greeting.add(connection)
        try:
            if call.ways[0]:
                self._start_encrypted(connection, call)
            else:
                greeting = self._greet(connection, connection, call)
                connection.start(greeting)
                greeting.call(self._info_hash)
        except PeerError as error:
            connection.close(error)

    def _start_encrypted(self, connection: Connection, call: _Call) -> None:
        def started(encrypted: Connection, said: bytes) -> None:
            greeting = self._greet(encrypted, connection, call)
            greeting.called()
            encrypted.start(greeting)
            if said:
                greeting.on_data(memoryview(said))

        OutgoingStart(
            self._facilities.loop,
            connection,
            self._facilities.limits.encryption,
            wire_hash=bytes(self._info_hash[:20]),
            initial=self._our_handshake(),
            started=started,
            failed=lambda error: self._on_call_failed(connection, call, error),
        ).begin()

    def _greet(self, connection: Connection, dialled: Connection, call: _Call) -> Greeting:
        """Expect the handshake of who was `dialled`, on what became of that `connection`."""

        def greeted(connection: Connection, handshake: Handshake, rest: bytes) -> None:
            call.is_greeted = True
            self._on_greeted(connection, dialled, call, handshake, rest)

        return Greeting(
            self._facilities.loop,
            connection,
            answer=lambda _hash: self._our_handshake(),
            greeted=greeted,
            failed=lambda error: self._on_call_failed(dialled, call, error),
        )

    def _our_handshake(self) -> bytes:
        facilities = self._facilities
        reserved = our_reserved(facilities.dht, is_private=self._is_private)
        return Handshake(self._info_hash, facilities.peer_id, reserved).encode()

    def _on_greeted(
        self,
        connection: Connection,
        dialled: Connection,
        call: _Call,
        handshake: Handshake,
        rest: bytes,
    ) -> None:
        self._greeting.discard(dialled)
        if handshake.info_hash != InfoHash(self._info_hash[:20]):
            raise PeerError(f"{connection.remote} answered for another torrent")
        if call.is_punch:
            self._known.add(call.endpoint, PeerSource.PEX, self._facilities.loop.time())
        encrypts = connection.encryption is not Encryption.NONE
        self._known.speaks(call.endpoint, encrypted=encrypts)
        self._greeted(connection, handshake, rest)

    def _on_call_failed(self, dialled: Connection, call: _Call, error: Exception | None) -> None:
        self._greeting.discard(dialled)
        log.debug("%s: %s did not greet: %s", self._info_hash, call.endpoint, error)
        self._facilities.connections.open -= 1
        if not call.is_greeted:
            self._facilities.dialer.is_useless(call.endpoint, dialled.transport)
        if self._is_connected(call.endpoint):
            return
        # It ended the connection, not we: so do those who want to be spoken with another way.
        is_refused = not call.is_greeted and not isinstance(
            error, (PeerTimeoutError, ProtocolError)
        )
        is_wanted = not self.is_closed and not self._facilities.gate.forbids(call.endpoint.host)
        if is_refused and len(call.ways) > 1 and is_wanted:
            self._begin(replace(call, ways=call.ways[1:]))
        else:
            self._failed(call)

    def _failed(self, call: _Call) -> None:
        endpoint, now = call.endpoint, self._facilities.loop.time()
        if call.is_punch or self._is_connected(endpoint):
            return
        if self.is_closed or self._facilities.route.waiting:
            self._known.set_aside(endpoint, now)  # who has not answered yet has not failed
        else:
            self._known.disconnected(endpoint, now, failed=True)

    def drop_forbidden(self) -> None:
        """Hang up on those that a new filter forbids."""
        gate = self._facilities.gate
        for connection in list(self._greeting):
            if gate.forbids(connection.remote.host):
                gate.closed += 1
                connection.close(PeerError(f"{connection.remote} is filtered"))

    def close(self) -> None:
        self.is_closed = True
        for connection in list(self._greeting):
            connection.close(None)
