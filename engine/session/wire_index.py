"""Which torrent a peer means that comes to us: by the name in its handshake, plain or encrypted.

Both are looked up in a dictionary, however many torrents there are (MSE/PE would have each of them
hashed for every caller). Invariant: `find` gives no torrent but one that takes peers now.
"""

from __future__ import annotations

from engine.torrent.torrent import Torrent
from engine.wire.encryption import skey_mark


class WireIndex:
    """All torrents of a session by the 20 bytes of their info-hash that go over the wire."""

    __slots__ = ("_by_hash", "_by_mark")

    def __init__(self) -> None:
        self._by_hash: dict[bytes, Torrent] = {}
        self._by_mark: dict[bytes, Torrent] = {}

    def add(self, torrent: Torrent) -> None:
        wire_hash = bytes(torrent.info_hash[:20])
        self._by_hash[wire_hash] = torrent
        self._by_mark[skey_mark(wire_hash)] = torrent

    def remove(self, torrent: Torrent) -> None:
        """Forget a torrent, if it is there."""
        wire_hash = bytes(torrent.info_hash[:20])
        self._by_hash.pop(wire_hash, None)
        self._by_mark.pop(skey_mark(wire_hash), None)

    def get(self, wire_hash: bytes) -> Torrent | None:
        """Find by the info-hash, whether it takes peers or not."""
        return self._by_hash.get(wire_hash)

    def find(self, wire_hash: bytes) -> Torrent | None:
        """Find by the info-hash of a handshake."""
        return _if_met(self._by_hash.get(bytes(wire_hash[:20])))

    def find_marked(self, mark: bytes) -> Torrent | None:
        """Find by what names the torrent where the handshake is encrypted."""
        return _if_met(self._by_mark.get(mark))


def _if_met(torrent: Torrent | None) -> Torrent | None:
    is_met = torrent is not None and torrent.state.is_running and torrent.has_info
    return torrent if is_met else None
