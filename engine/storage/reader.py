"""Batches of requested blocks → a slab laid out for one send. HOT: 2 µs a block when warm.

    slab:  [gap][block][gap][block]…      the caller writes the frame headers into the gaps

Invariant: blocks that follow each other in the torrent are one system call, so that a batch from
one piece costs one. `gather` never waits; when it says False the same batch goes to `read` in a
disk thread, which also lets the kernel fetch what will be asked for next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.core.geometry import Geometry
from engine.storage.backend import Backend

Request = tuple[int, int, int]
"""(index, begin, length), checked against the geometry by the caller."""

READ_AHEAD_BYTES = 2 * 1024 * 1024


def gather(
    files: Backend, geometry: Geometry, requests: Sequence[Request], slab: memoryview, gap: int
) -> bool:
    """Fill the slab with the blocks if all of them are in the page cache.

    The slab has `gap` bytes before every block. False means that it holds rubbish and that the
    batch needs `read`; errors are left to that as well.
    """
    read_nowait = files.read_into_nowait
    return all(read_nowait(offset, views) for offset, views in _runs(geometry, requests, slab, gap))


def read(
    files: Backend, geometry: Geometry, requests: Sequence[Request], slab: memoryview, gap: int
) -> None:
    """Do what `gather` does, waiting for the disk. Raises StorageError. For a disk thread."""
    for offset, views in _runs(geometry, requests, slab, gap):
        files.read_into(offset, views)
    if requests:
        index, begin, length = requests[-1]
        ahead = min(geometry.piece_size(index) - begin - length, READ_AHEAD_BYTES)
        if ahead > 0:
            files.will_need(geometry.piece_offset(index) + begin + length, ahead)


def _runs(
    geometry: Geometry, requests: Sequence[Request], slab: memoryview, gap: int
) -> Iterator[tuple[int, list[memoryview]]]:
    piece_length = geometry.piece_length
    at = 0
    start = end = -1
    views: list[memoryview] = []
    for index, begin, length in requests:
        offset = index * piece_length + begin
        at += gap
        if offset != end:
            if views:
                yield start, views
            start = offset
            views = []
        views.append(slab[at : at + length])
        at += length
        end = offset + length
    if views:
        yield start, views
