"""Requests about the peers of torrents, and about where peers are found."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from engine.control.schema_request import Accepted, Request


class PeerRow(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    client: str
    """From the extension handshake or the peer id (BEP 20)."""
    progress: float
    down_rate: int
    up_rate: int
    downloaded: int
    uploaded: int
    flags: str
    """D/d we download / are choked, U/u we upload / choke, O optimistic, S snubbed, I incoming,
    X fast extension (BEP 6), H they have all, E encrypted, e only the handshake was, P by uTP."""
    source: str
    """tracker, manual, incoming, resume, dht, pex, lsd."""


class TrackerState(StrEnum):
    IDLE = "idle"
    ANNOUNCING = "announcing"
    WORKING = "working"
    WARNING = "warning"
    FAILING = "failing"


class TrackerRow(msgspec.Struct, frozen=True, kw_only=True):
    """A tracker; or, with its name for the URL and the tier -1, another way to find peers: DHT,
    PEX, LSD."""

    url: str
    tier: int
    state: TrackerState
    message: str = ""
    """What the tracker said or why it did not."""
    seeders: int | None = None
    leechers: int | None = None
    downloads: int | None = None
    peers: int = 0
    """Addresses in its last reply."""
    next_announce_in_s: float | None = None
    last_announce_at: float | None = None


class GetPeers(Request, frozen=True, kw_only=True):
    METHOD = "torrent.peers"
    torrent: str
    reply: ClassVar[Any] = list[PeerRow]


class GetTrackers(Request, frozen=True, kw_only=True):
    METHOD = "torrent.trackers"
    torrent: str
    reply: ClassVar[Any] = list[TrackerRow]


class Announce(Request, frozen=True, kw_only=True):
    """Announce to the trackers now (never sooner than their `min interval`)."""

    METHOD = "torrent.announce"
    torrents: list[str] | None
    reply: ClassVar[Any] = Accepted


class AddPeer(Request, frozen=True, kw_only=True):
    METHOD = "torrent.add_peer"
    torrents: list[str] | None
    peer: str
    """HOST:PORT; the engine looks a name up, by the way that its settings leave."""
    reply: ClassVar[Any] = Accepted
