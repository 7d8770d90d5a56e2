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
    """Bytes that are wanted, in whole pieces: all of them unless files are skipped."""
    have: int
    """Verified bytes on disk, of those."""
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
    def is_size_known(self) -> bool:
        """False of a magnet link whose metadata is not here yet."""
        return self.size > 0 or self.progress >= 1

    @property
    def is_waiting(self) -> bool:
        """True for a download that cannot go on; `reason` says why."""
        return self.state is TorrentState.DOWNLOADING and bool(self.reason) and not self.down_rate


class TorrentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """All of one torrent that is not a list of its own."""

    row: TorrentRow
    save_path: str
    magnet: str = ""
    """The link that leads others to it; empty for a private torrent, to which none does."""
    total_size: int = 0
    """Bytes of all files, wanted or not."""
    files_skipped: int = 0
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


class FilePriority(StrEnum):
    SKIP = "skip"
    """It is not fetched, and not made."""
    NORMAL = "normal"
    HIGH = "high"
    """It is fetched before the others."""


class FileRow(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    size: int
    have: int
    is_pad: bool = False
    index: int = 0
    """Its number, from 0, as magnet links (BEP 53) and the requests below count; pads count too."""
    priority: FilePriority = FilePriority.NORMAL


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """Files whose priority was one and is another now."""

    before: FilePriority
    after: FilePriority
    files: str
    """Their numbers, as "0,2,4-6": what a request takes that undoes it."""
    count: int
    size: int


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
    way_out: str = ""
    """By what everything must leave, as "tun0" or "socks5://10.0.0.1:1080", without user names and
    passwords; empty: as the system likes."""
    waiting: str = ""
    """Why nothing can leave now, as "waiting for tun0" or "waiting for the proxy 10.0.0.1:1080:
    Connection refused"; empty while it can."""
    dht_nodes: int | None = None
    """Nodes in the tables of our DHT nodes; None = the DHT is off."""
    reachability: str = "unknown"
    """reachable: strangers have connected to us; firewalled: none does, though many know us."""
    external: list[str] = []
    """HOST:PORT at which others see us, as far as that is known."""
    port_mapping: str = ""
    """How the router leads our port to us, or why it does not; empty when it is not asked."""


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """loop, ports, disk, storage, state."""
    is_ok: bool
    text: str
    """What was found."""


class FilterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The IP filter: whom the engine does not speak with."""

    source: str
    """Where the list comes from; empty = there is no filter."""
    is_open: bool
    """False while the list is not there yet: nobody is dialled or let in."""
    ipv4_ranges: int = 0
    ipv6_ranges: int = 0
    """After those that overlap or touch were merged."""
    memory_bytes: int = 0
    read_at: float | None = None
    """When the list in force was read from its source."""
    nonsense: int = 0
    """Lines that could not be read."""
    error: str = ""
    """Why the source could not be read the last time; else empty."""
    allow: list[str] = []
    """Never blocked."""
    unlearned: int = 0
    """Addresses that were told to us and not taken."""
    refused: int = 0
    """Hosts that connected and were hung up on."""
    closed: int = 0
    """Connections that a new list ended."""


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


class GetHealth(Request, frozen=True, kw_only=True):
    """Look whether the engine can do its work; it can if all checks are ok."""

    METHOD = "session.health"
    reply: ClassVar[Any] = list[HealthCheck]


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


class GetFilter(Request, frozen=True, kw_only=True):
    METHOD = "filter.status"
    reply: ClassVar[Any] = FilterStatus


class ReloadFilter(Request, frozen=True, kw_only=True):
    """Read the list from its source now; an error leaves the one in force."""

    METHOD = "filter.reload"
    reply: ClassVar[Any] = FilterStatus


class IsBlocked(Request, frozen=True, kw_only=True):
    """Ask whether the filter blocks an address, numeric."""

    METHOD = "filter.test"
    address: str

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        address: str
        """In its canonical form."""
        is_listed: bool
        """It is in a range of the list."""
        is_blocked: bool
        """And nothing allows it all the same; True for all while the list is not there yet."""

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
    only: list[str] = []
    """This and the next two as in SetFiles; of a magnet link they are heeded once its files are
    known."""
    skip: list[str] = []
    high: list[str] = []
    pick: bool = False
    """Pause it as soon as its files are known, so that they can be chosen."""
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


class SetFiles(Request, frozen=True, kw_only=True):
    """Choose files of one torrent, at any time. A word is the number of a file, numbers ("0,2-4"),
    a folder, or a pattern ("*.mkv", of the name or of the path, case folded). The lists are heeded
    in this order; a word that names no file is an error, and then nothing changes."""

    METHOD = "torrent.set_files"
    torrent: str
    only: list[str] = []
    """These are wanted, all others are skipped."""
    skip: list[str] = []
    normal: list[str] = []
    high: list[str] = []

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        changes: list[FileChange]
        wanted: int
        """Files that are wanted now."""
        files: int
        row: TorrentRow

    reply: ClassVar[Any] = Reply


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


# ── the DHT ─────────────────────────────────────────────────────────────────────────────────────


class DhtNodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Our node of one family of addresses, and what it has counted since the start."""

    family: str
    """IPv4 or IPv6."""
    node_id: str
    nodes: int
    """In its table."""
    good: int
    """Of them, those that were heard lately."""
    is_joined: bool
    address: str = ""
    """Ours as other nodes see it; empty until enough of them agree."""
    is_bound: bool = False
    """The id follows from that address, as BEP 42 wants it."""
    lookups: int = 0
    lookups_waiting: int = 0
    torrents: int = 0
    """That others announced to it."""
    items: int = 0
    """That others keep with it (BEP 44)."""
    counters: dict[str, int] = {}


class DhtInfo(msgspec.Struct, frozen=True, kw_only=True):
    port: int
    """UDP; 0 = the DHT is off."""
    is_read_only: bool
    nodes: list[DhtNodeInfo]
    """One for each family; none while it is off."""


class DhtRequest(Request, frozen=True, kw_only=True):
    """What the DHT is asked; all but `dht.status` fail while it is off."""


class DhtStatus(DhtRequest, frozen=True, kw_only=True):
    METHOD = "dht.status"
    reply: ClassVar[Any] = DhtInfo


class DhtLookup(DhtRequest, frozen=True, kw_only=True):
    """Look for the peers of a torrent; ask again with the `lookup` of the reply for what came
    meanwhile, until it is finished. An answer comes when there is news, or after some seconds."""

    METHOD = "dht.lookup"
    info_hash: str
    lookup: int | None = None

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        lookup: int
        peers: list[str]
        """HOST:PORTs since the last reply."""
        is_finished: bool = False
        hops: int = 0
        """From us to the nearest node that answered. This and what follows is known at the end."""
        asked: int = 0
        answered: int = 0
        nearest: list[str] = []
        """HOST:PORTs of the nearest nodes that answered."""

    reply: ClassVar[Any] = Reply


class DhtPing(DhtRequest, frozen=True, kw_only=True):
    METHOD = "dht.ping"
    node: str
    """HOST:PORT, numeric."""

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        node_id: str
        took_s: float

    reply: ClassVar[Any] = Reply


class DhtAdd(DhtRequest, frozen=True, kw_only=True):
    """Make acquaintance with a node, and join by it where that is still to be done."""

    METHOD = "dht.add"
    node: str
    reply: ClassVar[Any] = Empty


class DhtGet(DhtRequest, frozen=True, kw_only=True):
    """Look for an item (BEP 44): an immutable one by its hash of 40 hexadecimal digits, a mutable
    one by its public key of 64."""

    METHOD = "dht.get"
    target: str
    salt: bytes = b""

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        target: str
        value: bytes | None = None
        """Bencoded; None = nobody has it."""
        seq: int | None = None
        answered: int = 0
        """Nodes."""

    reply: ClassVar[Any] = Reply


class DhtPut(DhtRequest, frozen=True, kw_only=True):
    """Store an item; with a `key` a mutable one, signed by its owner."""

    METHOD = "dht.put"
    value: bytes = b""
    """Bencoded."""
    key: bytes = b""
    salt: bytes = b""
    seq: int = 0
    signature: bytes = b""

    class Reply(msgspec.Struct, frozen=True, kw_only=True):
        target: str
        stored: int
        """Nodes that keep it."""

    reply: ClassVar[Any] = Reply


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
    GetHealth,
    SetLimits,
    GetFilter,
    ReloadFilter,
    IsBlocked,
    Shutdown,
    AddTorrent,
    ListTorrents,
    GetTorrent,
    GetFiles,
    SetFiles,
    GetPeers,
    GetTrackers,
    GetLog,
    Pause,
    Resume,
    Recheck,
    Announce,
    Remove,
    AddPeer,
    DhtStatus,
    DhtLookup,
    DhtPing,
    DhtAdd,
    DhtGet,
    DhtPut,
    Subscribe,
    Unsubscribe,
)
"""Every method there is."""
NOTIFICATIONS: tuple[type[Snapshot] | type[Delta], ...] = (Snapshot, Delta)
