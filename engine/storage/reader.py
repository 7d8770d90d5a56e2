"""Batches of requested blocks → the places of a slab, or any buffers. HOT: 2 µs a block when warm.

Blocks that follow each other in the torrent are one run and one system call. `gather` never waits;
when it says False the same runs go to `read` in a disk thread, which also lets the kernel fetch
what will be asked for next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from engine.core.geometry import Geometry
from engine.storage.backend import Backend, WritableView

ReadRun: TypeAlias = tuple[int, Sequence[WritableView]]
"""An offset in the torrent, and the views that are filled from there on, one after the other."""

READ_AHEAD_BYTES = 2 * 1024 * 1024


def gather(files: Backend, runs: Sequence[ReadRun]) -> bool:
    """Fill the views if all of it is in the page cache.

    False means that they hold rubbish and that the runs need `read`; errors are left to that as
    well.
    """
    return all(files.read_into_nowait(offset, views) for offset, views in runs)


def read(files: Backend, geometry: Geometry, runs: Sequence[ReadRun]) -> None:
    """Do what `gather` does, waiting for the disk. Raises StorageError. For a disk thread."""
    end = 0
    for offset, views in runs:
        files.read_into(offset, views)
        end = offset + sum(map(len, views))
    piece_end = min(-(-end // geometry.piece_length) * geometry.piece_length, geometry.total_length)
    ahead = min(piece_end - end, READ_AHEAD_BYTES)
    if ahead > 0:
        files.will_need(end, ahead)
