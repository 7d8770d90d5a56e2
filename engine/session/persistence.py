"""Torrents ↔ rows of the state database: what is kept of a torrent, and how it comes back."""

from __future__ import annotations

import json
import struct
from pathlib import Path

from engine.core.bitfield import Bitfield
from engine.core.compact import endpoint, split_host_port
from engine.core.file_choice import FileChoice
from engine.core.file_wishes import FileWishes
from engine.core.identifiers import InfoHash
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.errors import ProtocolError
from engine.session.state_db import StoredTorrent
from engine.storage.file_stamps import FileStamps
from engine.torrent.facilities import Facilities
from engine.torrent.owner import Owner
from engine.torrent.resume import Record
from engine.torrent.summary import Summary
from engine.torrent.torrent import Torrent
from engine.torrent.unfinished import SLOW_PIECE_S, UnfinishedBlock

_MAGNET = b"magnet:"
"""What is kept of a torrent without metadata begins so; bencode cannot."""


def to_row(torrent: Torrent, now: float, summary: Summary | None = None) -> StoredTorrent:
    """What to keep of a torrent; `now` is seconds since the epoch. A `summary` is what it is about
    to take over."""
    summary, record = summary or torrent.summary, torrent.record
    return StoredTorrent(
        info_hash=bytes(summary.info_hash),
        name=summary.name,
        size=summary.size,
        piece_length=summary.piece_length,
        file_count=summary.file_count,
        is_private=summary.is_private,
        trackers=json.dumps(torrent.announcer.tiers.tiers),
        save_path=str(torrent.save_path),
        wants_to_run=torrent.wants_to_run,
        preallocate=torrent.preallocate,
        have=None if torrent.needs_check else torrent.have.to_bytes(),
        stamps=FileStamps.of(record.stamps).to_bytes() if record else b"",
        is_clean=record.is_clean if record else False,
        committed_at=record.committed_at if record and not torrent.state.is_running else now,
        added_at=torrent.added_at,
        completed_at=torrent.completed_at,
        downloaded=torrent.down_rate.total,
        uploaded=torrent.up_rate.total,
        wasted=torrent.wasted_bytes,
        active_s=torrent.active_s,
        down_limit=torrent.down_bucket.rate,
        up_limit=torrent.up_bucket.rate,
        peers=json.dumps([str(peer) for peer in torrent.explicit_peers]),
        priorities=torrent.choice.priorities if torrent.choice else b"",
        wanted=torrent.choice.wanted.to_bytes() if torrent.choice else b"",
        wishes=torrent.wishes.encode(),
    )


def from_row(
    row: StoredTorrent, owner: Owner, facilities: Facilities, origin: bytes | None = None
) -> Torrent:
    """Make the torrent of a row, paused; the session starts it if it wants to run.

    `origin` is what is kept beside a row without metadata. Progress that cannot be read is found
    again by a check. Raises ValueError or SeedwrightError for a row that makes no torrent.
    """
    summary, magnet = _summary(row), None
    if origin is not None and origin.startswith(_MAGNET):
        magnet = Magnet.parse(origin.decode())
    elif origin is not None:
        # Its metadata was kept, and we were killed before the row said so.
        summary = Summary.of(Metainfo.parse(origin))
    elif not summary.has_info:
        raise ValueError("neither metadata nor a magnet link")
    have = record = choice = None
    if row.priorities:
        wanted = Bitfield.from_bytes(row.wanted, summary.geometry.piece_count)
        choice = FileChoice(row.priorities, wanted)
    try:
        if row.have is not None:
            have = Bitfield.from_bytes(row.have, summary.geometry.piece_count)
        if row.stamps:
            record = Record(FileStamps.from_bytes(row.stamps), row.committed_at, bool(row.is_clean))
    except (ProtocolError, struct.error):
        have = None
    torrent = Torrent(
        owner,
        facilities,
        summary,
        save_path=Path(row.save_path),
        have=have,
        choice=choice,
        wishes=FileWishes.decode(row.wishes),
        added_at=row.added_at,
        preallocate=bool(row.preallocate),
        magnet=magnet,
    )
    torrent.wants_to_run = bool(row.wants_to_run)
    torrent.completed_at = row.completed_at
    torrent.active_s = row.active_s
    torrent.wasted = row.wasted
    torrent.down_rate.total = row.downloaded
    torrent.up_rate.total = row.uploaded
    now = facilities.loop.time()
    torrent.down_bucket.set_rate(row.down_limit, now)
    torrent.up_bucket.set_rate(row.up_limit, now)
    torrent.explicit_peers = [endpoint(*split_host_port(peer)) for peer in json.loads(row.peers)]
    torrent.record = record
    return torrent


def _summary(row: StoredTorrent) -> Summary:
    return Summary(
        info_hash=InfoHash(row.info_hash),
        name=row.name,
        size=row.size,
        piece_length=row.piece_length,
        file_count=row.file_count,
        is_private=bool(row.is_private),
        trackers=tuple(tuple(tier) for tier in json.loads(row.trackers)),
    )


def take_unfinished(torrent: Torrent) -> tuple[list[UnfinishedBlock], list[int]]:
    """Blocks of begun pieces to keep, and the pieces of which nothing need be kept any more."""
    blocks, torrent.unkept = torrent.unkept, []
    if torrent.live is None:
        return blocks, []
    download = torrent.live.download
    return [*blocks, *download.take_unfinished(SLOW_PIECE_S)], download.unfinished.take_ended()
