"""A begun piece: whether each block is free, requested or received, and by whom (BEP 3).

Invariant: a block is exactly one of free (no requester, no source), requested (a requester, and
in the end game perhaps a second one) and received (a source). It knows nothing of other pieces.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Generic, TypeVar

from engine.core.geometry import BLOCK_LENGTH, Geometry, Span

PeerT = TypeVar("PeerT")


class Receipt(Generic[PeerT]):
    """What a received block meant. `cancel` are other peers that were asked for the same block.

    Hot callers compare with `is`: ACCEPTED, COMPLETED and UNWANTED are what nearly all blocks get.
    """

    __slots__ = ("accepted", "cancel", "completed")

    def __init__(self, accepted: bool, completed: bool, cancel: tuple[PeerT, ...] = ()) -> None:
        self.accepted = accepted
        self.completed = completed
        self.cancel = cancel


class PartialPiece(Generic[PeerT]):
    """One begun piece. Peers are opaque and compared by identity.

    `fresh` is the first block that was never requested; free blocks below it are in `returned`.
    `askers` are the peers that were asked for a block and not released since. An `is_solo` piece
    is left to one peer while it sends, so that it is known who sent it.
    """

    __slots__ = (
        "askers",
        "block_count",
        "fresh",
        "index",
        "is_solo",
        "last_block",
        "last_length",
        "length",
        "received_count",
        "requesters",
        "returned",
        "seconds",
        "sources",
    )

    def __init__(self, geometry: Geometry, index: int, *, is_solo: bool = False) -> None:
        self.index = index
        self.is_solo = is_solo
        self.length = geometry.piece_size(index)
        self.block_count = geometry.block_count(index)
        self.last_block = self.block_count - 1
        self.last_length = self.length - self.last_block * BLOCK_LENGTH
        self.requesters: list[PeerT | None] = [None] * self.block_count
        self.sources: list[PeerT | None] = [None] * self.block_count
        self.seconds: dict[int, PeerT] = {}
        self.askers: set[PeerT] = set()
        self.returned: list[int] = []
        self.fresh = 0
        self.received_count = 0

    @property
    def free_count(self) -> int:
        return self.block_count - self.fresh + len(self.returned)

    @property
    def requested_count(self) -> int:
        return self.fresh - len(self.returned) - self.received_count

    @property
    def received_bytes(self) -> int:
        whole = self.received_count * BLOCK_LENGTH
        if self.sources[self.last_block] is None:
            return whole
        return whole - BLOCK_LENGTH + self.last_length

    def block_of(self, begin: int, length: int) -> int | None:
        """Return the number of the block that is exactly this span, None if there is none."""
        block, rest = divmod(begin, BLOCK_LENGTH)
        if rest or not 0 <= block <= self.last_block:
            return None
        whole = BLOCK_LENGTH if block < self.last_block else self.last_length
        return block if length == whole else None

    def take(self, peer: PeerT, count: int, picked: list[Span]) -> int:
        """Mark up to `count` free blocks as requested by this peer and append them to `picked`, new
        ones as one span; returns how many they are. HOT."""
        self.askers.add(peer)
        requesters, returned = self.requesters, self.returned
        taken = 0
        while returned and taken < count:
            block = returned.pop()
            requesters[block] = peer
            picked.append((self.index, block * BLOCK_LENGTH, self._length_of(block)))
            taken += 1
        first = self.fresh
        fresh = min(count - taken, self.block_count - first)
        if fresh > 0:
            self.fresh = end = first + fresh
            requesters[first:end] = [peer] * fresh
            begin = first * BLOCK_LENGTH
            picked.append((self.index, begin, min(end * BLOCK_LENGTH, self.length) - begin))
            taken += fresh
        return taken

    def take_requested(self, peer: PeerT, count: int, picked: list[Span]) -> int:
        """End game: join up to `count` blocks that another single peer was asked for; returns how
        many they are.

        From the last block down: that is what the other peer will send last, so the two meet in
        the middle and little arrives twice. Nobody joins a solo piece: a corrupter who is quick
        would have a share in it each time, and nobody would learn whose share was wrong.
        """
        seconds, taken = self.seconds, 0
        if self.is_solo or self.askers == {peer}:
            return 0
        for block in range(self.last_block, -1, -1):
            if taken == count:
                break
            requester = self.requesters[block]
            if requester is not None and requester is not peer and block not in seconds:
                seconds[block] = peer
                picked.append((self.index, block * BLOCK_LENGTH, self._length_of(block)))
                taken += 1
        if taken:
            self.askers.add(peer)
        return taken

    def release(self, block: int, peer: PeerT) -> bool:
        """Forget that this peer was asked for a block; True if the block is free again by it."""
        second = self.seconds.get(block)
        if second is peer:
            del self.seconds[block]
        elif self.requesters[block] is peer:
            self.requesters[block] = second
            if second is not None:
                del self.seconds[block]
            else:
                self.returned.append(block)
                return True
        return False

    def release_all(self, peer: PeerT) -> bool:
        """Forget all that this peer was asked for; True if a block is free again by it."""
        self.askers.discard(peer)
        freed = False
        # Downwards, so that `returned.pop()` gives the lowest block first.
        for block in range(self.fresh - 1, -1, -1):
            if self.requesters[block] is peer or self.seconds.get(block) is peer:
                freed |= self.release(block, peer)
        return freed

    def accept(self, block: int, peer: PeerT) -> tuple[PeerT, ...] | None:
        """Count a block as received from this peer, asked or not.

        Returns the other peers that were asked for it, or None if the block is not wanted: it is
        here already, nobody has been asked for it yet, or the piece is left to somebody else.
        """
        if block >= self.fresh or self.sources[block] is not None:
            return None
        if self.is_solo and peer not in self.askers:
            return None
        requester = self.requesters[block]
        second = self.seconds.pop(block, None)
        if requester is None:
            self.returned.remove(block)
        self.requesters[block] = None
        self.sources[block] = peer
        self.received_count += 1
        return tuple(p for p in (requester, second) if p is not None and p is not peer)

    def accept_asked(self, begin: int, length: int, peer: PeerT) -> bool:
        """Count a block as received if it is asked of this peer and of no other."""
        block = begin // BLOCK_LENGTH
        last = self.last_block
        if (
            not 0 <= block <= last
            or length != (BLOCK_LENGTH if block < last else self.last_length)
            or begin != block * BLOCK_LENGTH
            or self.requesters[block] is not peer
            or self.seconds
        ):
            return False
        self.requesters[block] = None
        self.sources[block] = peer
        self.received_count += 1
        return True

    def asks_run(self, begins: range, peer: PeerT) -> bool:
        """True if these are whole blocks, each of them asked of this peer and of no other."""
        first, count = begins.start // BLOCK_LENGTH, len(begins)
        return (
            begins.stop <= self.length
            and not begins.start % BLOCK_LENGTH
            and not self.seconds
            and self.requesters[first : first + count] == [peer] * count
        )

    def accept_run(self, begins: range, peer: PeerT) -> None:
        """Count whole blocks as received; `asks_run` must be true of them."""
        first, count = begins.start // BLOCK_LENGTH, len(begins)
        self.requesters[first : first + count] = [None] * count
        self.sources[first : first + count] = [peer] * count
        self.received_count += count

    def restore(self, blocks: Collection[int], source: PeerT) -> None:
        """Count blocks as received before; for a piece just begun, and not all of its blocks."""
        self.fresh = max(blocks, default=-1) + 1
        for block in range(self.fresh - 1, -1, -1):
            if block in blocks:
                self.sources[block] = source
                self.received_count += 1
            else:
                self.returned.append(block)

    def outstanding(self) -> Iterator[tuple[PeerT, Span]]:
        """Yield who is asked for what."""
        for block in range(self.fresh):
            for peer in (self.requesters[block], self.seconds.get(block)):
                if peer is not None:
                    yield peer, (self.index, block * BLOCK_LENGTH, self._length_of(block))

    def _length_of(self, block: int) -> int:
        return BLOCK_LENGTH if block < self.last_block else self.last_length
