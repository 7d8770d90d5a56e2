"""The first 68 bytes of a connection, both roles (BEP 3): who are you, and which torrent?

The side that was called answers as soon as it has read the info-hash, since some callers send their
peer id only after that. What follows the handshake is handed on with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from engine.core.identifiers import InfoHash
from engine.errors import PeerError, PeerTimeoutError
from engine.net.connection import Connection
from engine.wire.handshake import (
    HANDSHAKE_LENGTH,
    INFO_HASH_END,
    Handshake,
    check_beginning,
)

GREETING_TIMEOUT_S = 20.0
_READ_BYTES = 4 * 1024
"""What comes behind the handshake is left to who reads it with care."""


class Greeting:
    """Waits for a handshake on a connection, then hands the connection on, once.

    `answer` maps the info-hash to our handshake, or None for a torrent that we do not serve.
    `greeted` gets the peer's handshake and the bytes that came behind it, and must `start` the
    connection with a handler of its own or raise; `failed` is called instead if the connection ends
    before another handler took it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: Connection,
        *,
        answer: Callable[[InfoHash], bytes | None],
        greeted: Callable[[Connection, Handshake, bytes], None],
        failed: Callable[[Exception | None], None],
    ) -> None:
        self._connection = connection
        self._answer = answer
        self._greeted = greeted
        self._failed = failed
        self._received = bytearray()
        self._is_answered = False
        self._timer = loop.call_later(GREETING_TIMEOUT_S, self._too_late)

    def call(self, info_hash: InfoHash) -> None:
        """Speak first: we dialled for this torrent. Must be called before the connection starts."""
        self._say(info_hash)
        self._connection.flush()

    def called(self) -> None:
        """Know that our handshake was sent already. Must be called before the connection starts."""
        self._is_answered = True

    def _say(self, info_hash: InfoHash) -> None:
        self._is_answered = True
        handshake = self._answer(info_hash)
        if handshake is None:
            raise PeerError(f"{self._connection.remote} asked for {info_hash}, which is not here")
        self._connection.write(handshake)

    def on_data(self, data: memoryview) -> None:
        self._received += data
        received = self._received
        check_beginning(received)
        if len(received) >= INFO_HASH_END and not self._is_answered:
            self._say(InfoHash(bytes(received[28:INFO_HASH_END])))
            if len(received) < HANDSHAKE_LENGTH:
                self._connection.flush()  # else it leaves with what is said next, in one packet
        if len(received) >= HANDSHAKE_LENGTH and not self._connection.is_closed:
            self._timer.cancel()
            handshake = Handshake.decode(bytes(received[:HANDSHAKE_LENGTH]))
            try:
                self._greeted(self._connection, handshake, bytes(received[HANDSHAKE_LENGTH:]))
            except PeerError:
                self._connection.flush()  # they should know whom they reached
                raise

    def on_writable(self) -> None:
        """Nothing more to say before they answer."""

    def read_quota(self) -> int:
        return _READ_BYTES

    def _too_late(self) -> None:
        self._connection.close(PeerTimeoutError(f"{self._connection.remote} never greeted"))

    def on_closed(self, error: Exception | None) -> None:
        self._timer.cancel()
        self._failed(error)
