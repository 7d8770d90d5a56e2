"""Engines on loopback that find each other by the DHT, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

from engine.session.options import DhtOptions, SessionOptions
from engine.session.session import Session
from tests.end_to_end.rig import LOOPBACK


def dht_options(*friends: Session, **changes: object) -> SessionOptions:
    """Of an engine that joins by the nodes of its `friends`; without one it waits for others."""
    bootstrap = tuple(str(friend.udp.endpoints[0]) for friend in friends)
    dht = DhtOptions(is_enabled=True, bootstrap=bootstrap)
    return replace(LOOPBACK, dht=dht, **changes)  # type: ignore[arg-type]


def is_announced(node: Session, count: int = 1) -> bool:
    """True if so many torrents have peers in the store of this engine's node, of either family."""
    return any(each.peers.torrent_count >= count for each in node.dht.nodes.values())
