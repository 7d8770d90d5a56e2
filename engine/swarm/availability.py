"""How many connected peers have each piece (BEP 3, rarest first).

The counts are bit-sliced: bit i of plane k is bit k of piece i's count. Counting a peer's whole
bitfield, and finding the rarest pieces among any candidates, is then a carry or a descent through
log2(peers) big integers, whatever the number of pieces. Peers that have everything are counted
apart, so that they cost nothing and change no order.
"""

from __future__ import annotations

from engine.swarm.piece_masks import PieceMasks


class Availability:
    """Counts for `piece_count` pieces. What is removed must have been added before."""

    __slots__ = ("_planes", "masks", "seeds")

    def __init__(self, piece_count: int) -> None:
        self.masks = PieceMasks(piece_count)
        self.seeds = 0
        self._planes: list[int] = []

    def add(self, index: int) -> None:
        self.add_mask(self.masks.bit(index))

    def add_seed(self) -> None:
        self.seeds += 1

    def remove_seed(self) -> None:
        self.seeds -= 1

    def add_mask(self, carry: int) -> None:
        """Count one more peer for every piece of the mask."""
        planes = self._planes
        for number, plane in enumerate(planes):
            planes[number] = plane ^ carry
            carry &= plane
            if not carry:
                return
        if carry:
            planes.append(carry)

    def remove_mask(self, borrow: int) -> None:
        """Count one peer less for every piece of the mask."""
        planes = self._planes
        for number, plane in enumerate(planes):
            if not borrow:
                break
            planes[number] = plane ^ borrow
            borrow ^= borrow & plane
        while planes and not planes[-1]:
            planes.pop()

    def count(self, index: int) -> int:
        """Connected peers that have this piece, seeds included."""
        bit = self.masks.bit(index)
        return self.seeds + sum(1 << k for k, plane in enumerate(self._planes) if plane & bit)

    def counts(self) -> list[int]:
        """The count of every piece, for display: slow, O(pieces × log peers)."""
        counts = [self.seeds] * self.masks.size
        for k, plane in enumerate(self._planes):
            for index in self.masks.indexes(plane):
                counts[index] += 1 << k
        return counts

    def rarest(self, mask: int) -> int:
        """Narrow a mask of pieces to those that the fewest peers have."""
        for plane in reversed(self._planes):
            lacking = mask ^ (mask & plane)
            if lacking:
                mask = lacking
        return mask

    def distributed_copies(self) -> float:
        """Whole copies among the connected peers, plus the share of pieces that exist once more."""
        if not self.masks.size:
            return float(self.seeds)
        rarest = self.rarest(self.masks.full)
        least = sum(1 << k for k, plane in enumerate(self._planes) if rarest & plane)
        more = self.masks.size - rarest.bit_count()
        return self.seeds + least + more / self.masks.size
