"""One torrent of a session as the schema's values: what lists and details show of it."""

from __future__ import annotations

from engine.control import schema
from engine.control.why import reason_for
from engine.core.magnet import Magnet
from engine.core.metainfo import Metainfo
from engine.torrent.announcer import Tracker
from engine.torrent.metadata_peer import MetadataPeer
from engine.torrent.peer import Peer
from engine.torrent.peer_flags import peer_flags
from engine.torrent.torrent import Torrent


class LiveBrief:
    """What filter and order of a view read of a torrent, reckoned when it is asked."""

    __slots__ = ("_torrent",)

    def __init__(self, torrent: Torrent) -> None:
        self._torrent = torrent

    @property
    def name(self) -> str:
        return self._torrent.name

    @property
    def state(self) -> schema.TorrentState:
        return schema.TorrentState(self._torrent.state.value)

    @property
    def size(self) -> int:
        return self._torrent.wanted_bytes

    @property
    def progress(self) -> float:
        return self._torrent.progress

    @property
    def down_rate(self) -> int:
        torrent = self._torrent
        return int(torrent.down_rate.rate) if torrent.state.is_running else 0

    @property
    def up_rate(self) -> int:
        torrent = self._torrent
        return int(torrent.up_rate.rate) if torrent.state.is_running else 0

    @property
    def peers(self) -> int:
        torrent = self._torrent
        found = torrent.live.peers if torrent.live else torrent.fetching
        return len(found.connected) if found else 0

    @property
    def eta_s(self) -> int | None:
        left, down = self._torrent.wanted_left, self.down_rate
        return left // down if left and down and self.peers else None

    @property
    def ratio(self) -> float:
        torrent = self._torrent
        return torrent.up_rate.total / (torrent.down_rate.total or torrent.have_bytes or 1)

    @property
    def added_at(self) -> float:
        return self._torrent.added_at


def torrent_row(torrent: Torrent) -> schema.TorrentRow:
    brief = LiveBrief(torrent)
    connected = torrent.live.peers.connected if torrent.live else {}
    return schema.TorrentRow(
        info_hash=torrent.info_hash.hex(),
        name=torrent.name,
        state=brief.state,
        size=torrent.wanted_bytes,
        have=torrent.wanted_have_bytes,
        progress=torrent.progress,
        down_rate=brief.down_rate,
        up_rate=brief.up_rate,
        downloaded=torrent.down_rate.total,
        uploaded=torrent.up_rate.total,
        ratio=brief.ratio,
        peers=brief.peers,
        seeds=sum(peer.pieces.is_full for peer in connected),
        eta_s=brief.eta_s,
        is_private=torrent.summary.is_private,
        added_at=torrent.added_at,
        completed_at=torrent.completed_at,
        error=torrent.error,
        reason=reason_for(torrent),
    )


def torrent_info(torrent: Torrent, told: Metainfo | None) -> schema.TorrentInfo:
    """All but its lists; `told` is its metainfo, if that is known."""
    live = torrent.live
    availability = live.download.picker.availability.distributed_copies() if live else 0.0
    return schema.TorrentInfo(
        row=torrent_row(torrent),
        save_path=str(torrent.save_path),
        magnet=_magnet(torrent, told),
        comment=told.comment if told else "",
        created_by=told.created_by if told else "",
        created_at=told.created_at if told else None,
        piece_length=torrent.summary.piece_length,
        piece_count=torrent.geometry.piece_count,
        pieces_have=torrent.have.count,
        total_size=torrent.size,
        files=torrent.summary.file_count,
        files_skipped=len(torrent.choice.skipped) if torrent.choice else 0,
        wasted=torrent.wasted_bytes,
        availability=availability,
        down_limit=torrent.down_bucket.rate,
        up_limit=torrent.up_bucket.rate,
        active_s=torrent.active_s,
    )


def _magnet(torrent: Torrent, told: Metainfo | None) -> str:
    """The link that leads to it. Not for a private torrent: its peers come by its own tracker
    alone, whose address often holds the key of who may ask there."""
    if torrent.summary.is_private:
        return ""
    return str(Magnet.of(told) if told else torrent.magnet or "")


def peer_rows(torrent: Torrent) -> list[schema.PeerRow]:
    """Its connected peers, also those that only give metadata."""
    if torrent.fetching is not None:
        return [_metadata_peer_row(peer) for peer in torrent.fetching.connected]
    return [_peer_row(peer) for peer in torrent.live.peers.connected] if torrent.live else []


def _peer_row(peer: Peer) -> schema.PeerRow:
    pieces = peer.pieces
    return schema.PeerRow(
        address=str(peer.connection.remote),
        client=peer.client,
        progress=pieces.count / pieces.size if pieces.size else 1.0,
        down_rate=int(peer.down.rate),
        up_rate=int(peer.up.rate),
        downloaded=peer.down.total,
        uploaded=peer.up.total,
        flags=peer_flags(peer),
        source=peer.source.value,
    )


def _metadata_peer_row(peer: MetadataPeer) -> schema.PeerRow:
    return schema.PeerRow(
        address=str(peer.connection.remote),
        client=peer.client,
        progress=0.0,
        down_rate=0,
        up_rate=0,
        downloaded=peer.received_bytes,
        uploaded=0,
        flags="",
        source=peer.source.value,
    )


def tracker_row(tracker: Tracker, tier: int, now: float) -> schema.TrackerRow:
    schedule, reply = tracker.schedule, tracker.reply
    state = schema.TrackerState.IDLE
    if schedule.is_announcing:
        state = schema.TrackerState.ANNOUNCING
    elif tracker.error:
        state = schema.TrackerState.FAILING
    elif reply is not None:
        state = schema.TrackerState.WARNING if reply.warning else schema.TrackerState.WORKING
    wait = schedule.next_at - now
    return schema.TrackerRow(
        url=tracker.url,
        tier=tier,
        state=state,
        message=tracker.error or (reply.warning or "" if reply else ""),
        seeders=reply.seeders if reply else None,
        leechers=reply.leechers if reply else None,
        downloads=reply.downloads if reply else None,
        peers=len(reply.peers) if reply else 0,
        next_announce_in_s=max(0.0, wait) if wait < float("inf") else None,
        last_announce_at=tracker.last_at,
    )
