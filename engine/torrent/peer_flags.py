"""The state of a peer in letters, as lists show it."""

from __future__ import annotations

from engine.net.connection import Encryption, Transport
from engine.torrent.peer import Peer


def peer_flags(peer: Peer) -> str:
    """`PeerRow` in control/schema.py tells what the letters mean."""
    protocol = peer.protocol
    letters = ""
    if protocol.am_interested:
        letters += "d" if protocol.peer_choking else "D"
    if protocol.peer_interested:
        letters += "u" if protocol.am_choking else "U"
    for letter, is_set in (
        ("O", peer.is_optimistic),
        ("S", peer.is_snubbed),
        ("I", peer.is_incoming),
        ("X", protocol.is_fast),
        ("H", peer.pieces.is_full),
        ("E", peer.connection.encryption is Encryption.ALL),
        ("e", peer.connection.encryption is Encryption.HANDSHAKE),
        ("P", peer.connection.transport is Transport.UTP),
    ):
        letters += letter if is_set else ""
    return letters
