"""Engines with a wish for encryption, and what became of it."""

from __future__ import annotations

from dataclasses import replace

from engine.net.connection import Encryption
from engine.session.options import SessionOptions
from engine.session.session import Session
from engine.torrent.facilities import Limits
from engine.torrent.torrent import Torrent
from engine.wire.encryption_policy import EncryptionPolicy, Level, Wish
from tests.end_to_end.rig import LOOPBACK


def wishing(
    wish: Wish, level: Level = Level.AUTOMATIC, options: SessionOptions = LOOPBACK
) -> SessionOptions:
    return replace(options, limits=Limits(encryption=EncryptionPolicy(wish, level)))


def watch(session: Session) -> set[tuple[Encryption, bool]]:
    """Collect how peers are connected from now on, and whether they came to us."""
    seen: set[tuple[Encryption, bool]] = set()

    def look(torrent: Torrent) -> None:
        if torrent.live is not None:
            peers = torrent.live.peers.connected
            seen.update((peer.connection.encryption, peer.is_incoming) for peer in peers)

    session.on_change.append(look)
    return seen
