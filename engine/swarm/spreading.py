"""Who passes on what we seed (BEP 3, seeding): what went to one peer and came no further.

A seed gets nothing back, so it cannot tell givers from takers by what they send. But it hears what
everybody has. A piece that shows up where we did not send it has been passed on by somebody; one
that stays where we sent it is hoarded. Of no use for a choice where all pieces have spread already.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from engine.core.bitfield import Bitfield

PeerT = TypeVar("PeerT", bound=Hashable)

HOARD = 3
"""Pieces that have come no further, from which on a peer hoards; in a crowd the next ones arrive
before the first could be passed on."""


class Spreading(Generic[PeerT]):
    """The pieces that one torrent sends, and where they show up."""

    __slots__ = ("_held", "_piece_count", "_sent", "_spread")

    def __init__(self, piece_count: int) -> None:
        self._piece_count = piece_count
        self._spread = Bitfield(piece_count)
        """Pieces that somebody has whom we did not send them."""
        self._sent: dict[PeerT, Bitfield] = {}
        self._held: dict[PeerT, set[int]] = {}
        """What each peer has from us, and nobody had without us then; who has by now is seen when
        it is asked about, as peers come with a million pieces at once."""

    def sent(self, peer: PeerT, index: int) -> None:
        """Count a piece of which a peer gets at least a block from us."""
        pieces = self._sent.get(peer)
        if pieces is None:
            pieces = self._sent[peer] = Bitfield(self._piece_count)
        pieces.add(index)

    def came_with(self, peer: PeerT, pieces: Bitfield) -> None:
        """A peer told all that it has, at once."""
        ours = self._sent.get(peer)
        if ours is not None:
            self._held.setdefault(peer, set()).update(pieces.common_with(ours))
            pieces = pieces.without(ours)
        self._spread.update(pieces)

    def gained(self, peer: PeerT, index: int) -> None:
        """A peer says that it has a piece."""
        if self._spread[index]:
            return
        ours = self._sent.get(peer)
        if ours is not None and ours[index]:
            self._held.setdefault(peer, set()).add(index)
            return
        self._spread.add(index)

    def removed(self, peer: PeerT) -> None:
        """Forget a peer that is gone."""
        self._sent.pop(peer, None)
        self._held.pop(peer, None)

    def hoards(self, peer: PeerT) -> bool:
        """True if several pieces have come no further than to this peer."""
        held = self._held.get(peer, set())
        alone: list[int] = []
        while held and len(alone) < HOARD:
            index = held.pop()
            if not self._spread[index]:
                alone.append(index)
        held.update(alone)
        return len(alone) == HOARD
