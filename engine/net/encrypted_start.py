"""How a connection begins that is encrypted, or may be: the handshake of MSE/PE over it.

    called   first bytes ─► plain? handed on as it is ─► else IncomingEncryption ─► handed on
    calling  OutgoingEncryption, with our own BitTorrent handshake in it ─► handed on

What is handed on speaks in the clear to its handler, whatever the wire looks like.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from engine.errors import PeerError, PeerTimeoutError
from engine.net.cipher_connection import CipherConnection
from engine.net.connection import Connection
from engine.net.rc4 import rc4
from engine.wire.encryption import IncomingEncryption, OutgoingEncryption, begins_plain
from engine.wire.encryption_policy import EncryptionPolicy

START_TIMEOUT_S = 10.0
"""For all of it: who sends a byte now and then gets no more. What speaks another protocol could be
sending a key, and is only found out when it has said as much or the time is over."""
_READ_BYTES = 16 * 1024
_CHANCE = random.SystemRandom()
"""Padding is seen by all, and must not tell of the keys that come from the same source."""

Started = Callable[[Connection, bytes], None]
"""Takes over a connection and what the peer has said on it; must `start` it or raise."""
Failed = Callable[[Exception | None], None]
"""Called instead if the connection ends before."""


class _Start:
    """What both roles share: the handler of a connection until it is handed on, once."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        handshake: OutgoingEncryption | IncomingEncryption,
        started: Started,
        failed: Failed,
    ) -> None:
        self._connection = connection
        self._handshake = handshake
        self._started = started
        self._failed = failed
        self._timer = loop.call_later(START_TIMEOUT_S, self._too_late)

    def begin(self) -> None:
        """Start the connection, and speak first if we are to."""
        self._connection.start(self)
        self._say(self._handshake.to_send())

    def _say(self, data: bytes) -> None:
        if data:
            self._connection.write(data)
            self._connection.flush()

    def on_data(self, data: memoryview) -> None:
        self._say(self._handshake.received(data))
        agreed = self._handshake.agreed
        if agreed is not None and not self._connection.is_closed:
            self._hand_on(CipherConnection(self._connection, agreed), agreed.rest)

    def _hand_on(self, connection: Connection, said: bytes) -> None:
        self._timer.cancel()
        self._started(connection, said)

    def on_writable(self) -> None:
        """Nothing waits to be sent: handshakes are small."""

    def read_quota(self) -> int:
        return _READ_BYTES

    def _too_late(self) -> None:
        remote = self._connection.remote
        self._connection.close(PeerTimeoutError(f"{remote} did not finish its handshake"))

    def on_closed(self, error: Exception | None) -> None:
        self._timer.cancel()
        self._failed(error)


class OutgoingStart(_Start):
    """Speaks first, as who dialled; `started` gets a connection on which `initial` was said."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        policy: EncryptionPolicy,
        *,
        wire_hash: bytes,
        initial: bytes,
        started: Started,
        failed: Failed,
    ) -> None:
        handshake = OutgoingEncryption(wire_hash, initial, policy.methods, rc4, _CHANCE)
        super().__init__(loop, connection, handshake, started, failed)


class IncomingStart(_Start):
    """Waits for the first bytes of who connected, plain or encrypted."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        policy: EncryptionPolicy,
        *,
        find: Callable[[bytes], bytes | None],
        started: Started,
        failed: Failed,
    ) -> None:
        """`find` is that of IncomingEncryption."""
        handshake = IncomingEncryption(find, policy.methods, policy.preferred, rc4, _CHANCE)
        super().__init__(loop, connection, handshake, started, failed)
        self._takes_plain = policy.takes_plain
        self._first = bytearray()
        self._is_encrypted = False

    def on_data(self, data: memoryview) -> None:
        if self._is_encrypted:
            super().on_data(data)
            return
        self._first += data
        is_plain = begins_plain(self._first)
        if is_plain is False:
            self._is_encrypted = True
            super().on_data(memoryview(self._first))
        elif is_plain:
            if not self._takes_plain:
                raise PeerError(f"{self._connection.remote} does not encrypt")
            self._hand_on(self._connection, bytes(self._first))
