"""What of a torrent is had and what of it is wanted, as sums of bytes; the part that only counts.

A torrent is *complete* when all its pieces are had, and *finished* when all wanted ones are: then
it serves what it has and asks for nothing (a partial seed, BEP 21).
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.bitfield import Bitfield
from engine.core.file_choice import FileChoice
from engine.core.geometry import Geometry
from engine.torrent.summary import Summary


class Holding:
    """The sums of one torrent. Bytes are those of whole pieces."""

    __slots__ = (
        "choice",
        "geometry",
        "have",
        "have_bytes",
        "summary",
        "wanted_bytes",
        "wanted_have_bytes",
    )

    def __init__(self, summary: Summary, have: Bitfield | None, choice: FileChoice | None) -> None:
        self.take_over(summary, have or Bitfield(summary.geometry.piece_count), choice)

    def take_over(self, summary: Summary, have: Bitfield, choice: FileChoice | None) -> None:
        """Count anew, of what may be another torrent than before: its metadata came."""
        self.summary = summary
        self.geometry = summary.geometry
        self.have = have
        self.choice = choice
        """None = all files are wanted, none more than the others."""
        self.count()

    def count(self) -> None:
        """Must be called when `have` or `choice` was replaced."""
        wanted = self.wanted
        self.have_bytes = bytes_of(self.have, self.geometry)
        """Verified and on disk, wanted or not."""
        if wanted is None:
            self.wanted_bytes, self.wanted_have_bytes = self.summary.size, self.have_bytes
        else:
            self.wanted_bytes = bytes_of(wanted, self.geometry)
            self.wanted_have_bytes = bytes_of(wanted.common_with(self.have), self.geometry)

    def count_pieces(self, indexes: Iterable[int]) -> None:
        """Must be called when pieces were added to `have`."""
        wanted, piece_size = self.wanted, self.geometry.piece_size
        for index in indexes:
            size = piece_size(index)
            self.have_bytes += size
            if wanted is None or wanted[index]:
                self.wanted_have_bytes += size

    @property
    def name(self) -> str:
        return self.summary.name

    @property
    def size(self) -> int:
        """Bytes of all files, wanted or not."""
        return self.summary.size

    @property
    def wanted(self) -> Bitfield | None:
        """The wanted pieces; None = all."""
        return self.choice.wanted if self.choice else None

    @property
    def has_info(self) -> bool:
        """False while only the info-hash is known; sizes and pieces mean nothing then."""
        return self.summary.has_info

    @property
    def is_complete(self) -> bool:
        return self.has_info and self.have.is_full

    @property
    def is_finished(self) -> bool:
        """True if nothing is missing that is wanted."""
        return self.has_info and self.wanted_have_bytes == self.wanted_bytes

    @property
    def left(self) -> int:
        """Bytes still missing of all, as trackers want to know it; 0 would mean a seed."""
        return self.summary.size - self.have_bytes if self.has_info else 1

    @property
    def wanted_left(self) -> int:
        """Bytes still to be fetched."""
        return self.wanted_bytes - self.wanted_have_bytes


def bytes_of(pieces: Bitfield, geometry: Geometry) -> int:
    """The size of some pieces."""
    size = pieces.count * geometry.piece_length
    if geometry.piece_count and pieces[geometry.piece_count - 1]:
        size -= geometry.piece_length - geometry.last_piece_length
    return size
