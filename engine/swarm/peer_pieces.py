"""What each connected peer has, and through `availability` how many have each piece (BEP 3).

Invariant: what is counted of a peer is what was reported, so it can be uncounted to the bit, even
when a message has replaced the peer's bitfield meanwhile.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from engine.core.bitfield import Bitfield
from engine.swarm.availability import Availability

PeerT = TypeVar("PeerT", bound=Hashable)


class PeerPieces(Generic[PeerT]):
    """The peers of one torrent. A bitfield passed in is the caller's, live object."""

    __slots__ = ("_full", "_masks", "_peers", "availability")

    def __init__(self, piece_count: int) -> None:
        self.availability = Availability(piece_count)
        self._masks = self.availability.masks
        self._full = self._masks.full
        self._peers: dict[PeerT, tuple[Bitfield, int]] = {}
        """Each peer's bitfield, and the mask of what was counted of it."""

    def __len__(self) -> int:
        """How many peers there are."""
        return len(self._peers)

    def added(self, peer: PeerT, pieces: Bitfield) -> None:
        """Count all pieces of a peer, instead of what was counted of it before."""
        self.removed(peer)
        mask = self._masks.of(pieces)
        self._peers[peer] = pieces, mask
        if mask == self._full:
            self.availability.add_seed()
        else:
            self.availability.add_mask(mask)

    def gained(self, peer: PeerT, bit: int) -> None:
        """Count one more piece of a known peer, given as its mask."""
        pieces, mask = self._peers[peer]
        if mask & bit:
            return
        grown = mask | bit
        if grown == self._full:
            grown = self._full
        self._peers[peer] = pieces, grown
        if grown is self._full:
            self.availability.remove_mask(mask)
            self.availability.add_seed()
        else:
            self.availability.add_mask(bit)

    def removed(self, peer: PeerT) -> None:
        known = self._peers.pop(peer, None)
        if known is not None:
            if known[1] == self._full:
                self.availability.remove_seed()
            else:
                self.availability.remove_mask(known[1])

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
