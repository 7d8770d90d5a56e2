"""Which pieces to begin together: small neighbours are read, sent and written in one go.

An extent is what pieces of EXTENT_BYTES would be; what peers have to trade is as varied as with
those. It knows masks (piece_masks.py) and no peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.core.geometry import Geometry
from engine.swarm.piece_masks import PieceMasks

if TYPE_CHECKING:
    from random import Random

EXTENT_BYTES = 256 * 1024
_LEAST_EXTENTS = 64
"""A torrent has at least so many: with fewer, peers would begin with the same ones."""


class Extents:
    """The extents of one torrent, and the one that is being worked on."""

    __slots__ = ("_masks", "_next", "pieces")

    def __init__(self, geometry: Geometry, masks: PieceMasks) -> None:
        self.pieces = max(
            1, min(EXTENT_BYTES // geometry.piece_length, geometry.piece_count // _LEAST_EXTENTS)
        )
        """Of one extent."""
        self._masks = masks
        self._next = 0
        """Behind the piece that was begun last."""

    def choose(self, mask: int, rng: Random) -> range:
        """Choose pieces of the mask, which must not be empty, that follow each other in one extent:
        the rest of the extent begun last, else of one at random."""
        masks, pieces = self._masks, self.pieces
        first = self._next
        if not first % pieces or not masks.run(mask, first, 1):
            first = masks.choose(mask, rng)
            start = first - first % pieces
            if masks.run(mask, start, first - start) == first - start:
                first = start
        return range(first, first + masks.run(mask, first, pieces - first % pieces))

    def begun(self, until: int) -> None:
        """Remember where to go on: all pieces before `until` were begun, the next one was not."""
        self._next = until
