"""Checking a torrent on disk, all of it or the pieces of some files, with progress to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.core.bitfield import Bitfield
from engine.storage.checker import Checker
from engine.storage.disk import Disk
from engine.storage.filesystem import TorrentFiles

if TYPE_CHECKING:
    from engine.torrent.torrent import Torrent


async def check(
    torrent: Torrent, disk: Disk, files: TorrentFiles, suspects: Sequence[int] | None
) -> None:
    """Verify the pieces of the files numbered in `suspects`, None = all, and tell the torrent
    what it has. Of suspicious files only recorded pieces are read. Raises StorageError."""
    have = torrent.have
    if suspects is None:
        pieces: Sequence[int] = range(torrent.geometry.piece_count)
    else:
        touched = {index for file in suspects for index in files.file_map.pieces_of(file)}
        pieces = sorted(index for index in touched if have[index])

    def progress(done: int, of: int) -> None:
        torrent.check_progress = done / of
        torrent.changed()

    found = await Checker(disk, files, torrent.info, pieces=pieces, progress=progress).run()
    kept = Bitfield(torrent.geometry.piece_count)
    if suspects is not None:
        looked_at = set(pieces)
        for index in have:
            if index not in looked_at:
                kept.add(index)
    for index in found:
        kept.add(index)
    torrent.checked(kept)
