"""Requests about torrents: to add, to look at, to steer, to remove them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

import msgspec

from engine.control.schema_request import Accepted, Request


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


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    at: float
    level: str
    """debug, info, warning or error."""
    text: str


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


class Remove(Request, frozen=True, kw_only=True):
    METHOD = "torrent.remove"
    torrents: list[str]
    delete_data: bool = False
    reply: ClassVar[Any] = Accepted
