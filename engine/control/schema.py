"""Every request, reply and notification between the engine and its front ends, as typed structs.

JSON-RPC 2.0 (framing.py carries it): a request's `method` is the `METHOD` of its struct, its params
are the struct's fields by name, its result is the struct named by `reply`. Sizes are bytes, rates
bytes a second, times seconds since the epoch, info-hashes 40 hexadecimal digits. Unknown fields are
ignored on both sides and new ones have defaults, so that an older client talks to a newer engine;
VERSION rises only when that is no longer true.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

import msgspec

VERSION = 1


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """Params of one method. `reply` is what its result decodes to."""

    METHOD: ClassVar[str]
    reply: ClassVar[Any] = None


class Empty(msgspec.Struct, frozen=True):
    """The result of a method that has nothing to tell."""


# ── values ──────────────────────────────────────────────────────────────────────────────────────


class TorrentState(StrEnum):
    """What a torrent is doing; see engine/torrent/lifecycle.py for the transitions."""

    PAUSED = "paused"
    METADATA = "metadata"
    """A magnet link whose info dictionary is being fetched; size, files and pieces are not known
    before."""
    CHECKING = "checking"
    DOWNLOADING = "downloading"
    SEEDING = "seeding"
    ERROR = "error"


class TorrentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the list of torrents."""

    info_hash: str
    name: str
    """Of a magnet link what it says, or the info-hash, until the metadata is there."""
    state: TorrentState
    size: int
    have: int
    """Verified bytes on disk."""
    progress: float
    """0 to 1; while checking, of the check."""
    down_rate: int = 0
    up_rate: int = 0
    downloaded: int = 0
    uploaded: int = 0
    ratio: float = 0.0
    peers: int = 0
    """Connected ones."""
    seeds: int = 0
    """Connected ones that have everything."""
    eta_s: int | None = None
    """Seconds; None while nothing moves."""
    is_private: bool = False
    added_at: float = 0.0
    completed_at: float | None = None
    error: str = ""
    """Why it is in the state `error`; else empty."""
    reason: str = ""
    """Why nothing is moving, in one sentence; empty while something is."""

    @property
    def is_waiting(self) -> bool:
        """True for a download that cannot go on; `reason` says why."""
        return self.state is TorrentState.DOWNLOADING and bool(self.reason) and not self.down_rate


class TorrentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """All of one torrent that is not a list of its own."""

    row: TorrentRow
    save_path: str
    comment: str = ""
    created_by: str = ""
    created_at: int | None = None
    piece_length: int = 0
    piece_count: int = 0
    pieces_have: int = 0
    files: int = 0
    wasted: int = 0
    """Bytes received and thrown away: duplicates and failed pieces."""
    availability: float = 0.0
    """Whole copies that the connected peers hold together, ours not counted."""
    down_limit: int = 0
    up_limit: int = 0
    """Bytes a second; 0 = none."""
    active_s: float = 0.0


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    size: int
    have: int
    is_pad: bool = False


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
    X fast extension (BEP 6), H they have all."""
    source: str
    """tracker, manual, incoming, resume (later dht, pex, lsd)."""


class TrackerState(StrEnum):
    IDLE = "idle"
    ANNOUNCING = "announcing"
    WORKING = "working"
    WARNING = "warning"
    FAILING = "failing"


class TrackerRow(msgspec.Struct, frozen=True, kw_only=True):
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


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    at: float
    level: str
    """debug, info, warning or error."""
    text: str


class SessionStatus(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    started_at: float
    listen: list[str]
    """HOST:PORT of each listening socket."""
    torrents: int
    peers: int
    down_rate: int
    up_rate: int
    downloaded: int
    uploaded: int
    down_limit: int
    up_limit: int
    disk_queue: int
    """Jobs that wait for a disk thread."""
    is_isolated: bool


class Accepted(msgspec.Struct, frozen=True):
    """Info-hashes of the torrents that a request reached."""

    info_hashes: list[str]


# ── requests ────────────────────────────────────────────────────────────────────────────────────


class Hello(Request, frozen=True, kw_only=True):
    """First request of a connection."""

    METHOD = "hello"
    version: int = VERSION
    client: str = ""

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        version: int
        engine: str
        """Name and version, as "seedwright 0.1.0"."""
        pid: int

    reply: ClassVar[Any] = Reply


class Status(Request, frozen=True, kw_only=True):
    METHOD = "session.status"
    reply: ClassVar[Any] = SessionStatus


class SetLimits(Request, frozen=True, kw_only=True):
    """Set rate limits, of the session or of one torrent; None leaves one as it is, 0 lifts it."""

    METHOD = "session.limits"
    torrent: str | None = None
    down: int | None = None
    up: int | None = None

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        down: int
        up: int

    reply: ClassVar[Any] = Reply


class Shutdown(Request, frozen=True, kw_only=True):
    METHOD = "session.shutdown"
    reply: ClassVar[Any] = Empty


class AddTorrent(Request, frozen=True, kw_only=True):
    """Add a torrent: exactly one of `metainfo` (base64 of a .torrent) and `source` (an http(s) URL
    of one, fetched by the engine, or a magnet link)."""

    METHOD = "torrent.add"
    metainfo: bytes | None = None
    source: str | None = None
    save_path: str | None = None
    """Absolute; None = the setting."""
    peers: list[str] = []
    """HOST:PORT to connect to at once."""
    paused: bool = False
    preallocate: bool | None = None
    assume_complete: bool = False
    """Seed at once what a stat says is all there (right sizes); a piece found bad is fetched. Not
    with a magnet link."""
    reply: ClassVar[Any] = TorrentRow


class ListTorrents(Request, frozen=True, kw_only=True):
    METHOD = "torrent.list"
    reply: ClassVar[Any] = list[TorrentRow]


class GetTorrent(Request, frozen=True, kw_only=True):
    """`torrent`, here and below: an info-hash, an unambiguous prefix of one (≥ 4 digits), or an
    exact name."""

    METHOD = "torrent.get"
    torrent: str
    reply: ClassVar[Any] = TorrentInfo


class GetFiles(Request, frozen=True, kw_only=True):
    METHOD = "torrent.files"
    torrent: str
    reply: ClassVar[Any] = list[FileRow]


class GetPeers(Request, frozen=True, kw_only=True):
    METHOD = "torrent.peers"
    torrent: str
    reply: ClassVar[Any] = list[PeerRow]


class GetTrackers(Request, frozen=True, kw_only=True):
    METHOD = "torrent.trackers"
    torrent: str
    reply: ClassVar[Any] = list[TrackerRow]


class GetLog(Request, frozen=True, kw_only=True):
    """The newest events of one torrent, oldest first."""

    METHOD = "torrent.log"
    torrent: str
    reply: ClassVar[Any] = list[LogLine]


class Pause(Request, frozen=True, kw_only=True):
    """`torrents` as in GetTorrent; an empty list means none, None means all of them."""

    METHOD = "torrent.pause"
    torrents: list[str] | None
    reply: ClassVar[Any] = Accepted


class Resume(Request, frozen=True, kw_only=True):
    METHOD = "torrent.resume"
    torrents: list[str] | None
    reply: ClassVar[Any] = Accepted


class Recheck(Request, frozen=True, kw_only=True):
    METHOD = "torrent.recheck"
    torrents: list[str] | None
    reply: ClassVar[Any] = Accepted


class Announce(Request, frozen=True, kw_only=True):
    """Announce to the trackers now (never sooner than their `min interval`)."""

    METHOD = "torrent.announce"
    torrents: list[str] | None
    reply: ClassVar[Any] = Accepted


class Remove(Request, frozen=True, kw_only=True):
    METHOD = "torrent.remove"
    torrents: list[str]
    delete_data: bool = False
    reply: ClassVar[Any] = Accepted


class AddPeer(Request, frozen=True, kw_only=True):
    METHOD = "torrent.add_peer"
    torrents: list[str] | None
    peer: str
    """HOST:PORT, numeric."""
    reply: ClassVar[Any] = Accepted


# ── views: subscribe once, then be told ─────────────────────────────────────────────────────────


class Sort(StrEnum):
    NAME = "name"
    SIZE = "size"
    PROGRESS = "progress"
    STATE = "state"
    DOWN_RATE = "down_rate"
    UP_RATE = "up_rate"
    PEERS = "peers"
    ETA = "eta"
    RATIO = "ratio"
    ADDED = "added"


class View(msgspec.Struct, frozen=True, kw_only=True):
    """Which torrents a subscriber wants to see, in which order, and which rows of those."""

    states: list[TorrentState] = []
    """Empty = all."""
    text: str = ""
    """Part of the name, case folded."""
    sort: Sort = Sort.NAME
    descending: bool = False
    offset: int = 0
    limit: int = 200


class Subscribe(Request, frozen=True, kw_only=True):
    """Open (or, with the id of one, change) a subscription. The reply is followed by one Snapshot
    and then, at most every `interval_s` and only when something changed, by Deltas."""

    METHOD = "view.subscribe"
    view: View = View()
    interval_s: float = 0.5
    id: int | None = None

    class Reply(msgspec.Struct, frozen=True):
        id: int

    reply: ClassVar[Any] = Reply


class Unsubscribe(Request, frozen=True, kw_only=True):
    METHOD = "view.unsubscribe"
    id: int
    reply: ClassVar[Any] = Empty


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """Notification `view.snapshot`: the whole window."""

    METHOD: ClassVar[str] = "view.snapshot"
    id: int
    seq: int
    offset: int = 0
    """The view's: a client that scrolls on quickly has several changes under way."""
    total: int
    """Torrents that match the view, inside the window or not."""
    rows: list[TorrentRow]
    status: SessionStatus


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """Notification `view.delta`: what changed since `seq` - 1. A gap in `seq` means:
    subscribe anew.

    `order` is None when the order of the window did not change; else all of its info-hashes, of
    which the new ones are in `rows`.
    """

    METHOD: ClassVar[str] = "view.delta"
    id: int
    seq: int
    total: int
    rows: list[TorrentRow]
    order: list[str] | None = None
    status: SessionStatus | None = None


REQUESTS: tuple[type[Request], ...] = (
    Hello,
    Status,
    SetLimits,
    Shutdown,
    AddTorrent,
    ListTorrents,
    GetTorrent,
    GetFiles,
    GetPeers,
    GetTrackers,
    GetLog,
    Pause,
    Resume,
    Recheck,
    Announce,
    Remove,
    AddPeer,
    Subscribe,
    Unsubscribe,
)
"""Every method there is."""
NOTIFICATIONS: tuple[type[Snapshot] | type[Delta], ...] = (Snapshot, Delta)
