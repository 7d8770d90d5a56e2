"""What a torrent tells and asks its session; a torrent knows no more of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from engine.core.identifiers import InfoHash
from engine.core.metainfo import Metainfo
from engine.torrent.unfinished import UnfinishedBlock

if TYPE_CHECKING:
    from engine.torrent.torrent import Torrent


class Owner(Protocol):
    """What a torrent tells and asks its session."""

    def changed(self, torrent: Torrent) -> None:
        """Something that a front end shows or the state database keeps is different now."""

    def shown(self, torrent: Torrent) -> None:
        """Something that a front end shows is different now; nothing that is kept."""

    def activated(self, torrent: Torrent) -> None:
        """The torrent wants `tick` every second, until it answers False."""

    def announce_changed(self, torrent: Torrent) -> None:
        """`torrent.announcer.next_at` may be earlier than it was."""

    def load_blocks(self, info_hash: InfoHash) -> list[UnfinishedBlock]:
        """Read back the blocks of begun pieces that are kept of a torrent."""

    def load_metainfo(self, info_hash: InfoHash) -> Metainfo:
        """Read the torrent's metainfo back from where it is kept."""

    async def keep_metainfo(self, torrent: Torrent, metainfo: Metainfo) -> None:
        """Keep what a torrent that had no metadata is about to take over. Raises StorageError."""
