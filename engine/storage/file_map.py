"""Where the bytes of a torrent lie: a span of the torrent → spans of its files (BEP 3, 47).

Invariant: the spans of a range follow each other without gap or overlap and add up to it. Pad files
(BEP 47) are flagged, since they are zeros that no disk holds; files without bytes are in no span.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from engine.core.metainfo import Info


class Span(NamedTuple):
    """`length` bytes from `offset` of one file; `file` counts in `Info.files`."""

    file: int
    offset: int
    length: int
    is_pad: bool


SMALL_FILE_BYTES = 256 * 1024
"""Files that come in one piece and are no larger are opened for that one write."""
_new_tuple = tuple.__new__
"""Makes a Span without its generated constructor; there is one for each small file."""


class FileMap:
    """Sums over the files of one torrent. All offsets and lengths are bytes."""

    __slots__ = ("_count", "_files", "_is_small", "_piece_length", "_starts", "total_length")

    def __init__(self, info: Info) -> None:
        self._files = files = info.files
        self._starts = starts = files.starts
        self._count = len(files)
        self._piece_length = info.piece_length
        self.total_length = info.total_length
        self._is_small = bytes(
            end - start <= SMALL_FILE_BYTES and not attributes
            for (start, end), attributes in zip(pairwise(starts), files.attributes, strict=True)
        )
        """One byte for each file: 1 for small ones without attributes."""

    def locate(self, offset: int, length: int) -> tuple[int, int] | None:
        """Return (file, offset in it) if one real file holds the whole range, else None. HOT."""
        starts = self._starts
        number = bisect_right(starts, offset, 0, self._count) - 1
        if offset + length > starts[number + 1] or self._files.is_pad(number):
            return None
        return number, offset - starts[number]

    def small_files(self, offset: int, length: int) -> range:
        """Return the files that lie wholly in a range if they are several, small, and without
        attributes (BEP 47); files without bytes may be among them. HOT."""
        starts = self._starts
        first = bisect_left(starts, offset)
        end = bisect_right(starts, offset + length) - 1
        if end - first < 2 or self._is_small.find(0, first, end) >= 0:
            return range(0)
        return range(first, end)

    def spans(self, offset: int, length: int) -> list[Span]:
        """Cut a range of the torrent at the borders of its files. Raises ValueError outside it."""
        if offset < 0 or length < 0 or offset + length > self.total_length:
            raise ValueError(f"{length} bytes at {offset} in a torrent of {self.total_length}")
        return list(self.walk(offset, length))

    def walk(self, offset: int, length: int) -> Iterator[Span]:
        """Yield the same spans one by one, for who may not need them all; without checks."""
        starts, is_pad = self._starts, self._files.is_pad
        number = bisect_right(starts, offset, 0, self._count) - 1
        while length:
            start, end = starts[number], starts[number + 1]
            taken = min(length, end - offset)
            if taken:
                yield _new_tuple(Span, (number, offset - start, taken, is_pad(number)))
                offset += taken
                length -= taken
            number += 1

    def files_of(self, piece: int) -> list[int]:
        """Return the files that piece `piece` has bytes of, pad files too."""
        start = piece * self._piece_length
        length = min(self._piece_length, self.total_length - start)
        return [span.file for span in self.spans(start, length)]

    def pieces_of(self, file: int) -> range:
        """Return the pieces that hold bytes of a file; none for a file without bytes."""
        return self._files[file].pieces(self._piece_length)
