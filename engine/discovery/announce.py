"""What is said to a tracker and what it answers, whatever the transport (BEP 3, 15, 24, 48).

Values only. The limits that hold for every reply live here too: a hostile tracker may not make us
announce in a loop, wait for years, or unpack a million peers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from engine.core.compact import Endpoint
from engine.core.identifiers import InfoHash, PeerId
from engine.errors import TrackerReplyError

DEFAULT_INTERVAL_S = 1800.0
"""For a reply that has peers but no `interval`."""

MAX_INTERVAL_S = 86_400.0
"""A longer interval is taken as this one: a swarm that was left for a day is worth a question."""

MAX_PEERS = 2000
"""Peers read from one reply; the rest of it is ignored."""

MAX_TEXT_CHARS = 300
MAX_TRACKER_ID_BYTES = 512


class AnnounceEvent(StrEnum):
    """Why an announce is made; `NONE` is the regular one."""

    NONE = ""
    STARTED = "started"
    COMPLETED = "completed"
    STOPPED = "stopped"
    PAUSED = "paused"
    """BEP 21: a regular one of a peer that lacks something and wants nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceRequest:
    """One announce (BEP 3). The counts are bytes since `started`; `left` are those missing."""

    info_hash: InfoHash
    peer_id: PeerId
    port: int
    uploaded: int = 0
    downloaded: int = 0
    left: int = 0
    event: AnnounceEvent = AnnounceEvent.NONE
    numwant: int = 200
    """Peers wished for; a `stopped` always asks for none."""
    key: int = 0
    """32 random bits that stay the same while a torrent runs, on every address (BEP 7)."""
    tracker_id: bytes = b""
    """What this tracker's last reply gave."""
    supports_encryption: bool = False
    """Peers that speak encrypted (MSE/PE) may be told of us as one of them."""
    requires_encryption: bool = False
    """Other peers are of no use to us."""
    ip: str | None = None
    """The address to list instead of the one we speak from; most trackers do not listen to it."""
    ipv4: str | None = None
    ipv6: str | None = None
    """A further address of the other family. BEP 7 discourages both: only on the user's wish."""

    @property
    def peers_wanted(self) -> int:
        return 0 if self.event is AnnounceEvent.STOPPED else self.numwant


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnounceReply:
    """A tracker's answer; None = it did not say."""

    interval_s: float
    min_interval_s: float | None = None
    peers: list[Endpoint] = field(default_factory=list)
    seeders: int | None = None
    leechers: int | None = None
    downloads: int | None = None
    """How often the torrent was downloaded completely."""
    warning: str | None = None
    tracker_id: bytes | None = None
    external_ip: str | None = None
    """Our address as the tracker sees it (BEP 24)."""


@dataclass(frozen=True, slots=True)
class SwarmCounts:
    """The scraped size of one swarm (BEP 48); None = the tracker did not say."""

    seeders: int | None
    leechers: int | None
    downloads: int | None


@dataclass(frozen=True, slots=True)
class ScrapeReply:
    """Counts by info-hash; a hash that the tracker does not know is missing."""

    swarms: dict[InfoHash, SwarmCounts]


def checked_interval_s(seconds: int, name: str = "interval") -> float:
    """Bound an interval from the network. Raises TrackerReplyError on a negative one."""
    if seconds < 0:
        raise TrackerReplyError(f"the tracker's {name} is negative: {seconds} s")
    return float(min(seconds, int(MAX_INTERVAL_S)))


def clean_text(raw: bytes) -> str:
    """Make a tracker's message fit for a terminal: one short line, no control characters."""
    text = raw[: 4 * MAX_TEXT_CHARS].decode("utf-8", "replace")
    text = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(text.split())[:MAX_TEXT_CHARS]
