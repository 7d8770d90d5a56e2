"""Ways to find peers that are no trackers, as lines of a list of trackers (BEP 11, 14)."""

from __future__ import annotations

from engine.control import schema
from engine.session.session import Session
from engine.torrent.torrent import Torrent


def peer_source_rows(session: Session, torrent: Torrent) -> list[schema.TrackerRow]:
    """Rows for peer exchange and local discovery, where they are on."""
    rows = []
    if session.facilities.limits.exchanges_peers:
        rows.append(_row("PEX", torrent))
    if session.local_peers.is_on:
        rows.append(_row("LSD", torrent))
    return rows


def _row(name: str, torrent: Torrent) -> schema.TrackerRow:
    swarm = torrent.live.peers if torrent.live else torrent.fetching
    counts = swarm.known.learned if swarm else {}
    learned = sum(count for source, count in counts.items() if source.value == name.lower())
    state, message = schema.TrackerState.IDLE, ""
    if torrent.summary.is_private:
        message = "not used: the torrent is private"
    elif torrent.announcer.is_started:
        state = schema.TrackerState.WORKING
        message = f"{learned} peer{'' if learned == 1 else 's'}"
    return schema.TrackerRow(url=name, tier=-1, state=state, message=message, peers=learned)
