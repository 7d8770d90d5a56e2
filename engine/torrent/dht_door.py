"""What a torrent has to do with the DHT: the handshake's bit, the `port` message, wanting peers
(BEP 5, 27).

Of a private torrent nothing of it is said, and nothing is listened to.
"""

from __future__ import annotations

from typing import Protocol

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash
from engine.wire.handshake import reserved_bits


class DhtDoor(Protocol):
    """The session's DHT node, as far as torrents need it."""

    @property
    def port(self) -> int:
        """The UDP port of our node; 0 = there is none."""

    def met(self, node: Endpoint) -> None:
        """A peer said that its own node is there."""

    def want_peers(self, info_hash: InfoHash) -> None:
        """A swarm has few peers. Cheap; says so as often as it likes."""


class NoDht:
    """Of a session without a node."""

    port = 0

    def met(self, node: Endpoint) -> None:
        """Nobody wants to know."""

    def want_peers(self, info_hash: InfoHash) -> None:
        """Nobody can be asked."""


def our_reserved(dht: DhtDoor, *, is_private: bool) -> bytes:
    """The reserved bytes of our handshake for a torrent."""
    return reserved_bits(dht=bool(dht.port) and not is_private)
