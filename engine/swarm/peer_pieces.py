"""What each connected peer has, and through `availability` how many have each piece (BEP 3).

Invariant: what is counted of a peer is what was reported, so it can be uncounted to the bit, even
when a message has replaced the peer's bitfield meanwhile. Who keeps its pieces to itself is not
counted: a piece that only such peers have is as rare as one that nobody has.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from engine.core.bitfield import Bitfield
from engine.swarm.availability import Availability

PeerT = TypeVar("PeerT", bound=Hashable)


class PeerPieces(Generic[PeerT]):
    """The peers of one torrent. A bitfield passed in is the caller's, live object."""

    __slots__ = ("_full", "_masks", "_misers", "_peers", "availability")

    def __init__(self, piece_count: int) -> None:
        self.availability = Availability(piece_count)
        self._masks = self.availability.masks
        self._full = self._masks.full
        self._peers: dict[PeerT, tuple[Bitfield, int]] = {}
        """Each peer's bitfield, and the mask of what was counted of it."""
        self._misers: set[PeerT] = set()
        """Peers whose masks are not counted."""

    def __len__(self) -> int:
        """How many peers there are."""
        return len(self._peers)

    def added(self, peer: PeerT, pieces: Bitfield) -> None:
        """Count all pieces of a peer, instead of what was counted of it before."""
        self._uncount(peer)
        self._peers[peer] = pieces, self._masks.of(pieces)
        self._count(peer)

    def gained(self, peer: PeerT, more: int) -> None:
        """Count more pieces of a known peer, given as their mask."""
        pieces, mask = self._peers[peer]
        new = more ^ (more & mask)
        if not new:
            return
        grown = mask | new
        if grown == self._full:
            self._uncount(peer)
            self._peers[peer] = pieces, self._full
            self._count(peer)
            return
        self._peers[peer] = pieces, grown
        if peer not in self._misers:
            self.availability.add_mask(new)

    def removed(self, peer: PeerT) -> None:
        self._uncount(peer)
        self._peers.pop(peer, None)
        self._misers.discard(peer)

    def gives(self, peer: PeerT, does: bool) -> None:
        """Say whether a known peer gives what it has; all are believed to at first."""
        if does is (peer in self._misers):
            self._uncount(peer)
            (self._misers.discard if does else self._misers.add)(peer)
            self._count(peer)

    def _count(self, peer: PeerT) -> None:
        if peer in self._misers:
            return
        mask = self._peers[peer][1]
        if mask == self._full:
            self.availability.add_seed()
        else:
            self.availability.add_mask(mask)

    def _uncount(self, peer: PeerT) -> None:
        if peer not in self._peers or peer in self._misers:
            return
        mask = self._peers[peer][1]
        if mask == self._full:
            self.availability.remove_seed()
        else:
            self.availability.remove_mask(mask)

    def mask_of(self, peer: PeerT, pieces: Bitfield) -> int:
        """The mask of `pieces`, which are this peer's: known already if the peer is."""
        known = self._peers.get(peer)
        return self._masks.of(pieces) if known is None else known[1]

    def bored_after(self, gained: int, lacking: int) -> list[PeerT]:
        """The peers that have something of the mask `gained`, but nothing of `lacking`."""
        full = self._full  # whose masks are this very object, so that seeds cost nothing
        return [
            peer
            for peer, (_, mask) in self._peers.items()
            if not (lacking if mask is full else not mask & gained or mask & lacking)
        ]
