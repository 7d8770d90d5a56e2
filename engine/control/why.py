"""Why a torrent is not moving, in one sentence for people; empty while it is."""

from __future__ import annotations

from engine.torrent.lifecycle import State
from engine.torrent.torrent import Torrent


def reason_for(torrent: Torrent) -> str:
    if torrent.state is State.ERROR:
        return torrent.error
    if torrent.state.is_running and (waiting := torrent.waiting):
        return waiting
    if torrent.state is State.METADATA:
        return _why_no_metadata(torrent)
    if torrent.state is State.DOWNLOADING and not torrent.down_rate.rate:
        return _why_no_download(torrent)
    return ""


def _why_no_metadata(torrent: Torrent) -> str:
    fetching = torrent.fetching
    if fetching is None or not fetching.connected:
        return f"no metadata yet: {_why_no_peers(torrent)}"
    if sources := fetching.fetch.source_count:
        return f"fetching metadata from {_peers(sources)}"
    return f"waiting for metadata: {_peers(len(fetching.connected))} connected, none has given any"


def _why_no_download(torrent: Torrent) -> str:
    live = torrent.live
    connected = list(live.peers.connected) if live else []
    if not connected:
        return _why_no_peers(torrent)
    useful = [peer for peer in connected if peer.protocol.am_interested]
    if not useful:
        return "no connected peer has a piece that is missing here"
    if all(peer.protocol.peer_choking for peer in useful):
        return f"waiting to be unchoked by {_peers(len(useful))}"
    if torrent.down_bucket.rate or (torrent.live and torrent.live.down.shared.rate):
        return "held back by a download limit"
    return f"waiting for {_peers(len(useful))} to send"


def _why_no_peers(torrent: Torrent) -> str:
    swarm = torrent.live or torrent.fetching
    if swarm is not None and not swarm.facilities.gate.is_open:
        return "nobody is dialled before the IP filter is loaded: see `seedwright filter`"
    trackers = torrent.announcer.trackers.values()
    found = torrent.live.peers if torrent.live else torrent.fetching
    if found is not None and (known := len(found.known)):
        return f"none of {known} known peers could be reached yet"
    if not trackers and torrent.announcer.asks_dht:
        return "no peers yet: the DHT is asked for them"
    if not trackers:
        return "no tracker, and no peer is known"
    if failing := [tracker for tracker in trackers if tracker.error]:
        return f"no peers: {failing[0].error}"
    if any(tracker.reply for tracker in trackers):
        return "the tracker knows no other peer"
    return "asking the tracker for peers"


def _peers(count: int) -> str:
    return "1 peer" if count == 1 else f"{count} peers"
