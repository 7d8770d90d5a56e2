"""Which files of a torrent are wanted and how much, and so which of its pieces (BEP 3, 47, 53).

A piece is wanted as soon as one wanted file has a byte in it. Files are numbered as they stand in
`Info.files`, pad files included, which is how BEP 53 counts. Invariant: a choice of nothing but
normal files does not exist: it is None, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from engine.core.bitfield import Bitfield
from engine.core.metainfo import FileEntry, Info


class FilePriority(IntEnum):
    """How much a file is wanted."""

    SKIP = 0
    NORMAL = 1
    HIGH = 2
    """Its pieces are begun before all others."""

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True, eq=False)
class FileChoice:
    """The priorities of all files, one byte each, and the pieces that are wanted by them."""

    priorities: bytes
    wanted: Bitfield

    @classmethod
    def of(cls, info: Info, priorities: bytes) -> FileChoice | None:
        """Make the choice that these priorities are; None where all files are normal."""
        levels = bytes(
            FilePriority.NORMAL if file.is_pad else level
            for file, level in zip(info.files, priorities, strict=True)
        )
        if levels.count(FilePriority.NORMAL) == len(levels):
            return None
        if FilePriority.SKIP not in levels:
            return cls(levels, Bitfield.full(info.geometry.piece_count))
        chosen = (file for file, level in zip(info.files, levels, strict=True) if level)
        return cls(levels, pieces_of(info, chosen))

    @property
    def skipped(self) -> frozenset[int]:
        """The numbers of the files that are not wanted."""
        return frozenset(n for n, level in enumerate(self.priorities) if not level)

    def urgent(self, info: Info) -> Bitfield | None:
        """The pieces of the files of high priority; None if there are none."""
        if FilePriority.HIGH not in self.priorities:
            return None
        levels = zip(info.files, self.priorities, strict=True)
        return pieces_of(info, (file for file, level in levels if level == FilePriority.HIGH))


def pieces_of(info: Info, files: Iterable[FileEntry]) -> Bitfield:
    """The pieces that hold bytes of any of these files; padding counts for none."""
    found = Bitfield(info.geometry.piece_count)
    for file in files:
        if file.length and not file.is_pad:
            pieces = file.pieces(info.piece_length)
            found.add_range(pieces.start, pieces.stop)
    return found


def priorities_of(info: Info, choice: FileChoice | None) -> bytes:
    """One byte for each file, chosen or not."""
    return choice.priorities if choice else bytes([FilePriority.NORMAL]) * len(info.files)
