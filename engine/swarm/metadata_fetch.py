"""Which piece of the info dictionary to ask which peer for, and whom to blame (BEP 9).

Several peers are asked at once. Peers that disagree about the size fill copies of their own, so
that a liar can delay nobody. A copy that fails its hash and came from one peer is that peer's
fault; one of several senders tells nothing yet: from then on each peer fills a copy alone, and who
sent the false pieces is told when the truth is known.

Invariant: a piece is missing, asked for or there; `metadata` is None until its hash is right.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from engine.core.identifiers import InfoHash
from engine.errors import ProtocolError

PIECE_BYTES: Final = 16 * 1024
PIPELINE: Final = 4
"""Pieces asked of one peer at a time; many clients queue no more."""
TIMEOUT_S: Final = 15.0
IMPATIENT_S: Final = 2.0
"""A piece that is asked of two peers is asked of a third after this long."""
FIRST_REST_S: Final = 5.0
LAST_REST_S: Final = 80.0
"""A peer that rejects or stays silent is not asked for a while, which doubles."""
SOLO_AT_ONCE: Final = 4
"""Peers that fill copies alone at a time."""
STALLED_S: Final = 5.0
"""One of them that has given nothing for so long makes place for another that waits."""
_ORPHANS = 4
"""Begun copies that are kept though nobody who says their size is left."""

P = TypeVar("P", bound=Hashable)


class _Copy(Generic[P]):
    """One try at the whole dictionary."""

    __slots__ = ("asked", "free", "kept_bytes", "owner", "pieces", "senders", "size")

    def __init__(self, size: int, owner: P | None) -> None:
        self.size = size
        self.owner = owner
        """The only peer that may fill it; None = everybody who says this size."""
        self.pieces: dict[int, bytes] = {}
        self.senders: dict[int, P] = {}
        self.kept_bytes = 0
        self.asked: dict[int, dict[P, float]] = {}
        """Missing pieces → who was asked, and when."""
        self.free = list(range(self.piece_count))
        """A heap of the pieces that are missing and asked of nobody."""

    @property
    def piece_count(self) -> int:
        return -(-self.size // PIECE_BYTES)

    def piece_size(self, index: int) -> int:
        return min(PIECE_BYTES, self.size - index * PIECE_BYTES)

    def ask(self, peer: P, now: float, *, is_idle: bool) -> int | None:
        """Pick a piece for a peer: one that nobody was asked for, else one that is slow to come. Of
        these each peer that is idle is asked for one, lest the silent take turns at all of them."""
        if self.free:
            index = heapq.heappop(self.free)
        else:
            waited = [
                (len(peers), min(peers.values()), index)
                for index, peers in self.asked.items()
                if peer not in peers
                and (
                    len(peers) < 2 or now - (min if is_idle else max)(peers.values()) >= IMPATIENT_S
                )
            ]
            if not waited:
                return None
            _, _, index = min(waited)
        self.asked.setdefault(index, {})[peer] = now
        return index

    def release(self, peer: P, index: int) -> None:
        peers = self.asked.get(index)
        if peers is not None and peers.pop(peer, None) is not None and not peers:
            del self.asked[index]
            heapq.heappush(self.free, index)

    def put(self, peer: P, index: int, data: bytes) -> None:
        if self.asked.pop(index, None) is None:
            self.free.remove(index)  # given up, and then it came
            heapq.heapify(self.free)
        self.pieces[index] = data
        self.senders[index] = peer
        self.kept_bytes += len(data)


class _Source(Generic[P]):
    """What is known of one peer."""

    __slots__ = (
        "copy",
        "failures",
        "kept_bytes",
        "late",
        "moved_at",
        "outstanding",
        "rests_until",
        "size",
    )

    def __init__(self, size: int) -> None:
        self.size = size
        self.copy: _Copy[P] | None = None
        self.outstanding: dict[int, float] = {}
        """Piece → when it was asked for."""
        self.late: set[int] = set()
        """Given up, and welcome all the same if they come."""
        self.failures = 0
        self.kept_bytes = 0
        self.moved_at = -math.inf
        """When its copy was seen to have grown, to `kept_bytes`, or was begun."""
        self.rests_until = -math.inf


class MetadataFetch(Generic[P]):
    """The fetch of one info dictionary. Peers are any hashable keys; times are one clock's."""

    __slots__ = (
        "_contested",
        "_copies",
        "_info_hash",
        "_max_bytes",
        "_sources",
        "_suspects",
        "metadata",
    )

    def __init__(self, info_hash: InfoHash, *, max_bytes: int) -> None:
        """`max_bytes` is the largest dictionary that is believed in."""
        self.metadata: bytes | None = None
        """The info dictionary, verified."""
        self._info_hash = info_hash
        self._max_bytes = max_bytes
        self._sources: dict[P, _Source[P]] = {}
        self._copies: dict[tuple[int, P | None], _Copy[P]] = {}
        self._contested: set[int] = set()
        """Sizes of which a copy of several senders was false."""
        self._suspects: list[tuple[P, int, int, bytes]] = []
        """(sender, size, piece, SHA-1 of it) of such copies."""

    @property
    def source_count(self) -> int:
        """Peers that say they have it."""
        return len(self._sources)

    @property
    def progress(self) -> float:
        """How far the best copy is, 0 to 1."""
        return max((copy.kept_bytes / copy.size for copy in self._copies.values()), default=0.0)

    # ── what peers tell ─────────────────────────────────────────────────────────────────────────

    def offered(self, peer: P, size: int | None) -> None:
        """A peer says that it has a dictionary of so many bytes; None: it has none to give."""
        source = self._sources.get(peer)
        if source is not None and source.size == size:
            return
        self.removed(peer)
        if size is not None and 0 < size <= self._max_bytes:
            self._sources[peer] = _Source(size)

    def removed(self, peer: P) -> None:
        """A peer is gone, or has nothing any more. What it sent is kept."""
        source = self._sources.pop(peer, None)
        if source is not None:
            self._leave_copy(peer, source)

    def requests(self, peer: P, now: float) -> list[int]:
        """Return the pieces to ask this peer for now; they count as asked."""
        source = self._sources.get(peer)
        if source is None or self.metadata is not None or now < source.rests_until:
            return []
        copy = self._copy_for(peer, source, now)
        if copy is None:
            return []
        if source.kept_bytes != copy.kept_bytes:
            source.kept_bytes, source.moved_at = copy.kept_bytes, now
        picked = []
        while len(source.outstanding) < PIPELINE:
            index = copy.ask(peer, now, is_idle=not source.outstanding)
            if index is None:
                break
            source.outstanding[index] = now
            source.late.discard(index)
            picked.append(index)
        return picked

    def rejected(self, peer: P, index: int, now: float) -> None:
        """A peer does not give a piece."""
        source = self._sources.get(peer)
        if source is not None and source.outstanding.pop(index, None) is not None:
            if source.copy is not None:
                source.copy.release(peer, index)
            self._rest(peer, source, now)

    def expire(self, now: float) -> None:
        """Give up on pieces that were asked for too long ago. Call it every second or so."""
        for peer, source in self._sources.items():
            lost = [index for index, at in source.outstanding.items() if now - at >= TIMEOUT_S]
            for index in lost:
                del source.outstanding[index]
                source.late.add(index)
                if source.copy is not None:
                    source.copy.release(peer, index)
            if lost:
                self._rest(peer, source, now)

    def is_unasked(self, peer: P) -> bool:
        """Say whether a peer that has not failed us is asked for nothing of what it offers."""
        source = self._sources.get(peer)
        if source is None or source.failures:
            return False
        return not source.outstanding and not source.late

    def owes(self, peer: P, index: int) -> bool:
        """Say whether a peer was asked for a piece and has not answered, be it too late by now."""
        source = self._sources.get(peer)
        return source is not None and (index in source.outstanding or index in source.late)

    def received(self, peer: P, index: int, data: bytes) -> list[P]:
        """Take a piece; returns the peers that are found guilty of false ones by it, be they gone.

        A piece that was not asked for is ignored. Raises ProtocolError for one of a wrong length.
        """
        source = self._sources.get(peer)
        if source is None or source.copy is None or self.metadata is not None:
            return []
        if not self.owes(peer, index):
            return []
        source.outstanding.pop(index, None)
        source.late.discard(index)
        copy = source.copy
        if len(data) != copy.piece_size(index):
            copy.release(peer, index)
            raise ProtocolError(f"metadata piece {index} of {len(data)} bytes")
        source.failures = 0
        if index in copy.pieces:
            return []
        for other in copy.asked.get(index, ()):
            if other != peer:
                self._sources[other].outstanding.pop(index, None)
                self._sources[other].late.add(index)
        copy.put(peer, index, data)
        if len(copy.pieces) == copy.piece_count:
            return self._judge(copy)
        self._forget_largest()
        return []

    # ── copies ──────────────────────────────────────────────────────────────────────────────────

    def _copy_for(self, peer: P, source: _Source[P], now: float) -> _Copy[P] | None:
        if source.copy is None:
            owner = peer if source.size in self._contested else None
            key = source.size, owner
            if owner is not None and key not in self._copies:
                alone = [copy.owner for copy in self._copies.values() if copy.owner is not None]
                if len(alone) >= SOLO_AT_ONCE and not (
                    self._is_next(source, now) and self._make_place(alone, now)
                ):
                    return None
                source.kept_bytes, source.moved_at = 0, now
            source.copy = self._copies.setdefault(key, _Copy(source.size, owner))
        return source.copy

    def _is_next(self, source: _Source[P], now: float) -> bool:
        """Say whether nobody waits to fill a copy alone who has failed less often."""
        return not any(
            other.failures < source.failures and other.copy is None and other.rests_until <= now
            for other in self._sources.values()
            if other.size in self._contested
        )

    def _make_place(self, alone: list[P], now: float) -> bool:
        """Take its copy from one that fills it alone and has stalled, if there is one."""
        for owner in alone:
            source = self._sources[owner]
            if now - source.moved_at >= STALLED_S:
                self._rest(owner, source, now)
                return True
        return False

    def _leave_copy(self, peer: P, source: _Source[P]) -> None:
        """Let a peer begin anew: what it was asked for is asked of others."""
        copy, source.copy = source.copy, None
        if copy is not None:
            for index in source.outstanding:
                copy.release(peer, index)
            if copy.owner is not None or self._is_forlorn(copy):
                self._copies.pop((copy.size, copy.owner), None)
        source.outstanding.clear()
        source.late.clear()

    def _is_forlorn(self, copy: _Copy[P]) -> bool:
        """True if nobody fills it and it is not worth its place until somebody comes."""
        if any(source.copy is copy for source in self._sources.values()):
            return False
        return not copy.pieces or len(self._copies) > _ORPHANS

    def _drop(self, copy: _Copy[P]) -> None:
        """Forget a copy; all who filled it begin anew."""
        self._copies.pop((copy.size, copy.owner), None)
        for peer, source in self._sources.items():
            if source.copy is copy:
                self._leave_copy(peer, source)

    def _rest(self, peer: P, source: _Source[P], now: float) -> None:
        if now >= source.rests_until:
            rest_s = min(LAST_REST_S, FIRST_REST_S * 2.0 ** min(source.failures, 8))
            source.rests_until = now + rest_s
            source.failures += 1
        if source.copy is not None and source.copy.owner is not None:
            self._leave_copy(peer, source)  # others wait for its place

    def _forget_largest(self) -> None:
        """Hold what is kept below twice the largest dictionary: a crowd of liars may send much."""
        while sum(copy.kept_bytes for copy in self._copies.values()) > 2 * self._max_bytes:
            self._drop(max(self._copies.values(), key=lambda copy: copy.size))

    # ── the hash ────────────────────────────────────────────────────────────────────────────────

    def _judge(self, copy: _Copy[P]) -> list[P]:
        whole = b"".join(copy.pieces[index] for index in range(copy.piece_count))
        if InfoHash.of(whole) == self._info_hash:
            self.metadata = whole
            return self._convict(whole)
        self._drop(copy)
        senders = list(dict.fromkeys(copy.senders.values()))
        if len(senders) == 1:
            self.removed(senders[0])
            return senders
        self._contested.add(copy.size)
        self._suspects += [
            (sender, copy.size, index, _digest(copy.pieces[index]))
            for index, sender in copy.senders.items()
        ]
        return []

    def _convict(self, whole: bytes) -> list[P]:
        """Return who sent something else than the truth."""
        true_pieces = [
            _digest(whole[at : at + PIECE_BYTES]) for at in range(0, len(whole), PIECE_BYTES)
        ]
        return list(
            dict.fromkeys(
                sender
                for sender, size, index, digest in self._suspects
                if size != len(whole) or digest != true_pieces[index]
            )
        )


def _digest(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()
