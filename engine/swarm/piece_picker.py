"""Which blocks to ask which peer for (BEP 3): own begun pieces, the rarest, others', end game.

A wanted piece that we lack is unbegun, begun (some block free, requested or received) or complete
(all blocks received, being verified and written) – exactly one. Invariants: a block is asked only
of a peer that has its piece, of one peer at a time outside of the end game, of two at most in it.
It sends nothing and knows no clock; the caller moves the requests that it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from engine.core.bitfield import Bitfield
from engine.core.geometry import BLOCK_LENGTH, Geometry, Span
from engine.swarm.extents import Extents
from engine.swarm.partial_pieces import PartialPiece, Receipt
from engine.swarm.peer_pieces import PeerPieces

if TYPE_CHECKING:
    from random import Random

PeerT = TypeVar("PeerT", bound=Hashable)
Allowed: TypeAlias = Collection[int] | None

RANDOM_FIRST_PIECES = 4
"""Until this many pieces are had they are chosen at random: something to trade, soon, is worth more
than a rare piece, which is slow to get because few peers have it."""

OPEN_PER_PEER = 1.5
"""Pieces with free blocks for each connected peer, above which begun ones come before new ones."""


class PiecePicker(Generic[PeerT]):
    """The picker of one torrent. Peers are opaque keys, hashable and compared by identity.

    `have` is shared with the caller, and written by `pieces_verified` and `piece_lost` only.
    `wanted` is copied; None = all. `can_begin(indexes)` is asked before pieces are begun, and must
    reserve what they need (buffers) for as many of the first ones as it says: these are begun then.
    """

    ACCEPTED: Receipt[PeerT] = Receipt(True, False)
    COMPLETED: Receipt[PeerT] = Receipt(True, True)
    UNWANTED: Receipt[PeerT] = Receipt(False, False)

    def __init__(
        self,
        geometry: Geometry,
        have: Bitfield,
        rng: Random,
        *,
        wanted: Bitfield | None = None,
        can_begin: Callable[[range], int] | None = None,
    ) -> None:
        self.geometry = geometry
        self.have = have
        self.duplicate_bytes = 0
        """Received, but not wanted (any more)."""
        self.failed_bytes = 0
        """Received in pieces that failed their hash or lost their buffer."""
        self._rng = rng
        self._can_begin: Callable[[range], int] = can_begin or len
        self.peers: PeerPieces[PeerT] = PeerPieces(geometry.piece_count)
        self.availability = self.peers.availability
        self._masks = self.availability.masks
        self._begun: dict[int, PartialPiece[PeerT]] = {}
        self._open: dict[int, PartialPiece[PeerT]] = {}
        """The begun and wanted pieces that have free blocks, in the order they got them."""
        self._completed: dict[int, PartialPiece[PeerT]] = {}
        self._extents = Extents(geometry, self._masks)
        self._suspects: set[int] = set()
        """Pieces that failed their hash: the next try is left to one peer, to find the culprit."""
        self._wanted = self._masks.full if wanted is None else self._masks.of(wanted)
        self._lacking = self._wanted ^ (self._wanted & self._masks.of(have))
        self._unbegun = self._lacking
        self._urgent = 0
        self.missing_count = self._lacking.bit_count()
        """Wanted pieces that we do not have yet."""

    # ── peers ─────────────────────────────────────────────────────────────────────────────────────

    def peer_added(self, peer: PeerT, pieces: Bitfield) -> None:
        """Count a peer's pieces; again, when a bitfield, HAVE ALL or HAVE NONE replaced them.

        `pieces` is the caller's live object: change it first, then report by `peer_gained`.
        """
        self.peers.added(peer, pieces)

    def peer_gained(self, peer: PeerT, *indexes: int) -> bool:
        """Count more pieces of a known peer; True if we want one of them and do not have it."""
        self.peers.gained(peer, mask := self._masks.of_scattered(indexes))
        return bool(self._lacking & mask)

    def peer_removed(self, peer: PeerT) -> None:
        """Forget a peer and all that it was asked for. Unknown peers are ignored."""
        self.release_all(peer)
        self.peers.removed(peer)

    # ── interest ──────────────────────────────────────────────────────────────────────────────────

    def is_interesting(self, pieces: Bitfield) -> bool:
        """True if a wanted piece that we lack is among them."""
        return bool(self._lacking and self._lacking & self._masks.of(pieces))

    def interested_in(self, index: int) -> bool:
        return bool(self._lacking & self._masks.bit(index))

    @property
    def is_finished(self) -> bool:
        """True if every wanted piece is on disk."""
        return not self.missing_count

    @property
    def is_end_game(self) -> bool:
        """True while every missing block is requested, received or on its way to the disk."""
        return not self._unbegun and not self._open and bool(self._begun)

    @property
    def wasted_bytes(self) -> int:
        return self.duplicate_bytes + self.failed_bytes

    def set_wanted(self, wanted: Bitfield | None, urgent: Bitfield | None = None) -> None:
        """Change which pieces are wanted, and which first. Begun ones become `evictable`."""
        self._urgent = 0 if urgent is None else self._masks.of(urgent)
        self._wanted = self._masks.full if wanted is None else self._masks.of(wanted)
        self._lacking = self._wanted ^ (self._wanted & self._masks.of(self.have))
        self.missing_count = self._lacking.bit_count()
        busy = self._masks.of_indexes([*self._begun, *self._completed])
        self._unbegun = self._lacking ^ (self._lacking & busy)
        self._open.clear()
        for partial in self._begun.values():
            self._reopen(partial)

    # ── picking ───────────────────────────────────────────────────────────────────────────────────

    def pick(
        self,
        peer: PeerT,
        pieces: Bitfield,
        count: int,
        *,
        allowed: Collection[int] | None = None,
        slow: bool = False,
    ) -> list[Span]:
        """Choose up to `count` blocks, as spans, to ask this peer for, and mark them as requested.

        `pieces` is what the peer has. `allowed` limits the choice to these pieces (BEP 6, while the
        peer chokes us). A `slow` peer keeps out of the pieces that others work on as long as it can
        have one of its own, since it would hold them up.
        """
        picked: list[Span] = []
        if count <= 0 or not pieces.count:
            return picked
        alone = slow or self._prefers_new(pieces)
        if self._open:
            count -= self._pick_begun(peer, pieces, count, allowed, picked, alone=alone)
        if count and self._unbegun:
            count -= self._pick_unbegun(peer, pieces, count, allowed, picked)
        if alone and count and self._open:
            self._pick_begun(peer, pieces, count, allowed, picked, alone=False)
        if not picked and self.is_end_game:
            self._pick_requested(peer, pieces, count, allowed, picked)
        return picked

    def _prefers_new(self, pieces: Bitfield) -> bool:
        """True if a new piece is better than help with others': that adds nothing to trade. The
        first pieces are shared: they are needed soon."""
        is_trading = pieces.is_full or self.have.count >= RANDOM_FIRST_PIECES
        return is_trading and len(self._open) < OPEN_PER_PEER * len(self.peers)

    def _pick_begun(
        self,
        peer: PeerT,
        pieces: Bitfield,
        count: int,
        allowed: Allowed,
        picked: list[Span],
        *,
        alone: bool,
    ) -> int:
        """Take free blocks of begun pieces, this peer's own first; returns how many. `alone`: not
        those of others."""
        others: list[PartialPiece[PeerT]] = []
        usable: list[PartialPiece[PeerT]] = []
        for index, partial in self._open.items():
            if pieces[index] and (allowed is None or index in allowed):
                if peer in partial.askers:
                    usable.append(partial)
                elif not (alone or partial.is_solo) or not partial.requested_count:
                    others.append(partial)
        usable += others
        taken = 0
        for partial in usable:
            taken += partial.take(peer, count - taken, picked)
            if not partial.free_count:
                del self._open[partial.index]
            if taken >= count:
                break
        return taken

    def _pick_unbegun(
        self, peer: PeerT, pieces: Bitfield, count: int, allowed: Allowed, picked: list[Span]
    ) -> int:
        """Begin pieces, the rarest first; returns how many blocks were taken of them."""
        candidates = self._unbegun & self.peers.mask_of(peer, pieces)
        if allowed is not None:
            candidates &= self._masks.of_indexes(allowed)
        taken = 0
        while candidates:
            tier = candidates & self._urgent or candidates
            if self.have.count >= RANDOM_FIRST_PIECES:
                tier = self.availability.rarest(tier)
            while tier:
                run = self._extents.choose(tier, self._rng)
                begun = self._may_begin(run, count - taken)
                taken += self._begin(peer, begun, count - taken, picked)
                self._extents.begun(begun.stop)
                mask = self._masks.of_run(begun.start, len(begun))
                self._unbegun ^= mask
                if len(begun) < len(run) or taken >= count:
                    return taken
                tier ^= mask
                candidates ^= mask
        return taken

    def _may_begin(self, indexes: range, count: int) -> range:
        """The first of these pieces: as many as `count` blocks need and there is leave for."""
        # The torrent's last piece may have fewer blocks, but nothing follows it.
        indexes = indexes[: -(-count // self.geometry.blocks_per_piece)]
        return indexes[: self._can_begin(indexes)]

    def _begin(self, peer: PeerT, indexes: range, count: int, picked: list[Span]) -> int:
        taken = 0
        for index in indexes:
            is_solo = index in self._suspects
            partial = self._begun[index] = PartialPiece(self.geometry, index, is_solo=is_solo)
            taken += partial.take(peer, count - taken, picked)
            if partial.free_count:
                self._open[index] = partial
        return taken

    def _pick_requested(
        self, peer: PeerT, pieces: Bitfield, count: int, allowed: Allowed, picked: list[Span]
    ) -> None:
        """End game: ask a second peer for what was asked of one, the youngest piece first."""
        for index, partial in reversed(self._begun.items()):
            if pieces[index] and (allowed is None or index in allowed):
                count -= partial.take_requested(peer, count, picked)
                if not count:
                    return

    # ── blocks ────────────────────────────────────────────────────────────────────────────────────

    def received(self, peer: PeerT, index: int, begin: int, length: int) -> Receipt[PeerT]:
        """Count a block that arrived.

        The caller has checked that this peer was asked for it, be it that the request was released
        since: such a late block is accepted as long as it is of use. The bytes of an accepted block
        must be stored before the next call. A `completed` piece must be verified, and then reported
        by `pieces_verified`, `piece_failed` or `piece_dropped`.
        """
        partial = self._begun.get(index)
        if partial is None:
            self.duplicate_bytes += length
            return self.UNWANTED
        if partial.accept_asked(begin, length, peer):
            return self._receipt(partial)
        number = partial.block_of(begin, length)
        others = None if number is None else partial.accept(number, peer)
        if others is None:
            self.duplicate_bytes += length
            return self.UNWANTED
        if not partial.free_count:
            self._open.pop(index, None)
        receipt = self._receipt(partial)
        return Receipt(True, receipt.completed, others) if others else receipt

    def asks_run(self, peer: PeerT, index: int, begins: range) -> bool:
        """True if these whole blocks of a piece are asked of this peer and of no other. HOT."""
        return index in self._begun and self._begun[index].asks_run(begins, peer)

    def received_run(self, peer: PeerT, index: int, begins: range) -> Receipt[PeerT]:
        """Count whole blocks that arrived in a row, as `received`; `asks_run` must be true. HOT."""
        self._begun[index].accept_run(begins, peer)
        return self._receipt(self._begun[index])

    def _receipt(self, partial: PartialPiece[PeerT]) -> Receipt[PeerT]:
        if partial.received_count < partial.block_count:
            return self.ACCEPTED
        self._complete(partial)
        return self.COMPLETED

    def restore(self, index: int, blocks: Collection[int], source: PeerT) -> bool:
        """Begin a piece with blocks that were received in an earlier life, `source` standing for
        whoever sent them. False if the piece is not wanted, begun already, or has no buffer."""
        bit = self._masks.bit(index)
        if not self._unbegun & bit or not 0 < len(blocks) < self.geometry.block_count(index):
            return False
        if not self._can_begin(range(index, index + 1)):
            return False
        self._unbegun ^= bit
        partial = self._begun[index] = PartialPiece(self.geometry, index)
        partial.restore(blocks, source)
        self._open[index] = partial
        return True

    def release(self, peer: PeerT, requests: Iterable[Span]) -> None:
        """Free blocks that this peer will not serve: rejected, timed out, or it choked us."""
        for index, begin, _ in requests:
            partial = self._begun.get(index)
            if partial is not None and partial.release(begin // BLOCK_LENGTH, peer):
                self._reopen(partial)

    def release_all(self, peer: PeerT) -> None:
        """Free all that this peer was asked for."""
        for partial in self._begun.values():
            if peer in partial.askers and partial.release_all(peer):
                self._reopen(partial)

    def _reopen(self, partial: PartialPiece[PeerT]) -> None:
        if partial.free_count and self._lacking & self._masks.bit(partial.index):
            self._open[partial.index] = partial

    def _complete(self, partial: PartialPiece[PeerT]) -> None:
        del self._begun[partial.index]
        self._open.pop(partial.index, None)
        self._completed[partial.index] = partial

    # ── pieces ────────────────────────────────────────────────────────────────────────────────────

    def pieces_verified(self, indexes: Sequence[int]) -> list[PeerT]:
        """Count pieces on disk as had; returns the peers that have nothing for us now. HOT."""
        self._suspects.difference_update(indexes)
        unbegun = [index for index in indexes if self._forget(index) is None]
        gained = self._lacking & self._masks.of_indexes(filter(self.have.add, indexes))
        if not gained:
            return []
        self._lacking ^= gained
        if unbegun:
            self._unbegun &= self._lacking
        self.missing_count -= gained.bit_count()
        return self.peers.bored_after(gained, self._lacking)

    def piece_failed(self, index: int) -> list[PeerT]:
        """Make a complete piece that failed its hash unbegun again; its buffer is not needed.

        Returns who sent each block, in the order of the blocks.
        """
        sources = self.sources(index)
        self._suspects.add(index)
        self.piece_dropped(index)
        return [source for source in sources if source is not None]

    def piece_dropped(self, index: int) -> list[tuple[PeerT, Span]]:
        """Make a begun or complete piece unbegun again because its buffer is lost or wanted back.

        Returns the requests that are still out for it; they should be cancelled.
        """
        partial = self._forget(index)
        if partial is None:
            return []
        self.failed_bytes += partial.received_bytes
        self._unbegun |= self._lacking & self._masks.bit(index)
        return list(partial.outstanding())

    def piece_lost(self, index: int) -> None:
        """Count a piece as not had any more: its bytes on disk turned out to be gone or damaged."""
        if self.have.discard(index) and self._wanted & self._masks.bit(index):
            self._lacking |= self._masks.bit(index)
            self._unbegun |= self._masks.bit(index)
            self.missing_count += 1

    def sources(self, index: int) -> list[PeerT | None]:
        """Who sent each block of a begun or complete piece; None: not received. Empty otherwise."""
        partial = self._completed.get(index) or self._begun.get(index)
        return [] if partial is None else list(partial.sources)

    def _forget(self, index: int) -> PartialPiece[PeerT] | None:
        self._open.pop(index, None)
        return self._begun.pop(index, None) or self._completed.pop(index, None)

    def partials(self) -> Iterator[PartialPiece[PeerT]]:
        """The begun pieces, in the order of their beginning."""
        return iter(self._begun.values())

    @property
    def completed_count(self) -> int:
        """Pieces that are being verified and written."""
        return len(self._completed)

    def evictable(self) -> int | None:
        """The begun piece to drop when buffers are short: nobody is asked for a block of it, as no
        peer that may be asked has it; the one with the least received. None if there is none, or
        if the buffer would serve no other piece of this torrent."""
        idle = [
            partial
            for index, partial in self._begun.items()
            if not partial.requested_count and (self._unbegun or not self.interested_in(index))
        ]
        return min(idle, key=lambda partial: partial.received_count).index if idle else None
