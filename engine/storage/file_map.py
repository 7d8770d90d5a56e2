"""Where the bytes of a torrent lie: a span of the torrent → spans of its files (BEP 3, 47).

Invariant: the spans of a range follow each other without gap or overlap and add up to it. Pad files
(BEP 47) are flagged, since they are zeros that no disk holds; files without bytes are in no span.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from engine.core.metainfo import Info


class Span(NamedTuple):
    """`length` bytes from `offset` of one file; `file` counts in `Info.files`."""

    file: int
    offset: int
    length: int
    is_pad: bool


_new_tuple = tuple.__new__
"""Makes a Span without its generated constructor; there is one for each small file."""


class FileMap:
    """Sums over the files of one torrent. All offsets and lengths are bytes."""

    __slots__ = ("_files", "_indexes", "_piece_length", "_starts", "total_length")

    def __init__(self, info: Info) -> None:
        self._files = info.files
        self._indexes = [number for number, file in enumerate(info.files) if file.length]
        self._starts = [info.files[number].offset for number in self._indexes]
        self._piece_length = info.piece_length
        self.total_length = info.total_length

    def locate(self, offset: int, length: int) -> tuple[int, int] | None:
        """Return (file, offset in it) if one real file holds the whole range, else None. HOT."""
        number = self._indexes[bisect_right(self._starts, offset) - 1]
        file = self._files[number]
        at = offset - file.offset
        if at + length > file.length or file.is_pad:
            return None
        return number, at

    def spans(self, offset: int, length: int) -> list[Span]:
        """Cut a range of the torrent at the borders of its files. Raises ValueError outside it."""
        if offset < 0 or length < 0 or offset + length > self.total_length:
            raise ValueError(f"{length} bytes at {offset} in a torrent of {self.total_length}")
        return list(self.walk(offset, length))

    def walk(self, offset: int, length: int) -> Iterator[Span]:
        """Yield the same spans one by one, for who may not need them all; without checks."""
        place = bisect_right(self._starts, offset) - 1
        while length:
            number = self._indexes[place]
            file = self._files[number]
            at = offset - file.offset
            taken = min(length, file.length - at)
            yield _new_tuple(Span, (number, at, taken, file.is_pad))
            offset += taken
            length -= taken
            place += 1

    def files_of(self, piece: int) -> list[int]:
        """Return the files that piece `piece` has bytes of, pad files too."""
        start = piece * self._piece_length
        length = min(self._piece_length, self.total_length - start)
        return [span.file for span in self.spans(start, length)]

    def pieces_of(self, file: int) -> range:
        """Return the pieces that hold bytes of a file; none for a file without bytes."""
        return self._files[file].pieces(self._piece_length)
