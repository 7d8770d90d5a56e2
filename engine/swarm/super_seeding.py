"""Which piece to tell which peer about while we seed in disguise (BEP 16).

A super-seed says that it has nothing, and offers a peer one piece at a time. Each piece is offered
once; who passes its pieces on is offered more. What nobody got, or nobody passes on, is offered
again, and so is what a peer lacks whom the others give nothing. So about one copy leaves us until
the peers hold it all: from then on they serve each other, and a piece that waits its turn is not
stuck, however long that takes. Invariant: a piece is offered to a peer once, and only while it
lacks it. It must not know how an offer is made (a `have`), nor who is unchoked.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

from engine.core.bitfield import Bitfield
from engine.swarm.availability import Availability

if TYPE_CHECKING:
    from random import Random

PeerT = TypeVar("PeerT", bound=Hashable)

FIRST_AT_ONCE = 3
"""Of a crowd that has nothing, so many are offered a piece at a time, and one each: a piece can be
passed on once it is whole, and till then the lines of all are idle."""
FIRST_S = 5.0
"""Whoever has not got its first piece for so long is not waited for."""
PENDING = 2
"""Pieces that a peer is offered and has not got: one under way, one to follow without a pause."""
PENDING_ALONE = 16
"""The same for the only peer, once nobody else has come for ALONE_S: it need not pass anything on,
and some clients look only every ten seconds whether there is something to ask for."""
ALONE_S = 5.0
WINDOW = 6
"""Pieces that a peer has from us and that nobody else has: it must pass some on to get more."""
RELAY_S = 25.0
"""A piece that spreads no further for so long, and that only those have who pass nothing on, is
offered to one more peer; and to a peer that nobody feeds for so long, any that spreads no more."""
_LOOK_S = 1.0


@dataclass(slots=True)
class _Taker:
    """A peer, and what it was offered."""

    pieces: Bitfield
    """What it has; the caller's live object."""
    came_at: float
    pending: set[int] = field(default_factory=set)
    held: set[int] = field(default_factory=set)
    """Offered and got, and not seen at anybody else."""
    offered: set[int] = field(default_factory=set)
    """All that it ever was offered."""
    gave_at: float = -math.inf
    """When something that it alone had was seen at another last."""
    fed_at: float = -math.inf
    """When it got something that we had not offered it last."""

    @property
    def is_new(self) -> bool:
        """True if it has nothing, and nothing was offered to it either."""
        return not self.pieces.count and not self.pending

    def passes_on(self, now: float) -> bool:
        """True if what it has can be left to it: it gave all that it alone had, or gives now."""
        return self.gave_at > (now - RELAY_S if self.held else -math.inf)

    def is_left_out(self, now: float) -> bool:
        """True if the others give it nothing."""
        return max(self.fed_at, self.came_at) <= now - RELAY_S


class SuperSeeding(Generic[PeerT]):
    """The offers of one torrent; `availability` counts what the connected peers have."""

    def __init__(self, availability: Availability, rng: Random) -> None:
        self._availability = availability
        self._takers: dict[PeerT, _Taker] = {}
        self._moved_at: dict[int, float] = {}
        """When each piece was offered or got by somebody last; without those nobody was offered."""
        self._now = 0.0
        """When offers were asked for last: once a second at least."""
        self._fresh = list(range(availability.masks.size))
        rng.shuffle(self._fresh)
        self._stuck: list[int] = []
        """Pieces that some lack and that spread no further, the rarest first."""
        self._hoarded: list[int] = []
        """Those of them that nobody has who passes anything on."""
        self._have_finished = False
        """Somebody had everything when it left us, and may be serving others."""
        self._crowd_at = math.inf
        """When others than one peer alone were here last, or nobody."""
        self._looked_at = 0.0

    def peer_added(self, peer: PeerT, pieces: Bitfield) -> None:
        """Know a peer, or know anew what it has; `pieces` is the live object."""
        taker = self._takers.get(peer)
        if taker is None:
            self._takers[peer] = _Taker(pieces, self._now)
            return
        taker.pieces = pieces
        for index in [index for index in taker.pending if pieces[index]]:
            self.peer_gained(peer, index)

    def peer_gained(self, peer: PeerT, index: int) -> None:
        """Count a piece that a peer says it has: it was ours, or one has passed ours on."""
        taker, now = self._takers[peer], self._now
        is_from_us = index in taker.offered
        if not is_from_us:
            taker.fed_at = now
        for other in self._takers.values():
            if other is not taker and index in other.held:
                other.held.discard(index)
                if not is_from_us:
                    other.gave_at = now
        if index in self._moved_at:
            self._moved_at[index] = now
        if index in taker.pending:
            taker.pending.discard(index)
            if self._availability.count(index) < 2:
                taker.held.add(index)

    def peer_removed(self, peer: PeerT) -> None:
        """Forget a peer. What it was offered and has not got is offered to others at once."""
        taker = self._takers.pop(peer, None)
        if taker is not None:
            self._have_finished |= taker.pieces.is_full
            for index in taker.pending:
                self._moved_at.pop(index, None)
                self._fresh.append(index)

    def offers(self, now: float, able: Iterable[PeerT], most: int) -> list[tuple[PeerT, int]]:
        """Decide whom to tell about which pieces now. `able` are the peers that may be told, and
        `most` of all peers may have offers open at a time."""
        self._now = now
        takers = self._takers
        if len(takers) != 1 or self._crowd_at > now:
            self._crowd_at = now
        most_pending = PENDING_ALONE if now - self._crowd_at >= ALONE_S else PENDING
        chosen: list[tuple[PeerT, int]] = []
        open_count = sum(bool(taker.pending) for taker in takers.values())
        waiting = [
            peer
            for peer in able
            if peer in takers and self._may_have_more(takers[peer], most_pending)
        ]
        # Who has passed on all of its pieces comes first; then who got least.
        waiting.sort(key=lambda peer: (len(takers[peer].held), len(takers[peer].offered)))
        places = self._first_places(now)
        is_crowd = bool(self._fresh) and places < sum(takers[peer].is_new for peer in waiting)
        for peer in waiting:
            taker = takers[peer]
            if not taker.pending and open_count >= most:
                continue
            if is_crowd:
                most_pending = 1
                if taker.held or (taker.is_new and places <= 0):
                    continue
                places -= taker.is_new
            open_count += not taker.pending
            while len(taker.pending) < most_pending:
                index = self._piece_for(taker, now)
                if index is None:
                    break
                taker.pending.add(index)
                taker.offered.add(index)
                self._moved_at[index] = now
                chosen.append((peer, index))
            open_count -= not taker.pending
        return chosen

    def _first_places(self, now: float) -> int:
        """How many more may be sent their first piece."""
        return FIRST_AT_ONCE - sum(
            any(self._moved_at.get(index, -math.inf) > now - FIRST_S for index in taker.pending)
            for taker in self._takers.values()
            if taker.pending and not taker.pieces.count
        )

    def _may_have_more(self, taker: _Taker, most_pending: int) -> bool:
        if len(taker.pending) >= most_pending or taker.pieces.is_full:
            return False
        # Whoever is alone has nobody to pass anything on to.
        return len(taker.held) < WINDOW or len(self._takers) == 1

    def _piece_for(self, taker: _Taker, now: float) -> int | None:
        """A piece that nobody was offered; else one that spreads no further; to whoever is alone,
        any."""
        for at in range(len(self._fresh) - 1, -1, -1):
            index = self._fresh[at]
            if self._availability.count(index):
                self._fresh.pop(at)  # somebody came with it
                self._moved_at.setdefault(index, now)
            elif index not in taker.offered:
                return self._fresh.pop(at)
        if len(self._takers) == 1 and taker.fed_at <= now - ALONE_S:
            candidates: Iterable[int] = taker.pieces.missing()
        else:
            self._look(now)
            candidates = self._stuck if taker.is_left_out(now) else self._hoarded
        for index in candidates:
            if not taker.pieces[index] and index not in taker.offered:
                for found in (self._stuck, self._hoarded):
                    if index in found:
                        found.remove(index)  # one more peer is enough for now
                return index
        return None

    def _look(self, now: float) -> None:
        """Once a second: find what spreads no further, and what of it would stay where it is."""
        if now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        count, everybody = self._availability.count, len(self._takers)
        found = [
            (had, index)
            for index, moved_at in self._moved_at.items()
            if moved_at <= now - RELAY_S and (had := count(index)) < everybody
        ]
        self._stuck = [index for _, index in sorted(found)]
        self._hoarded = []
        if self._have_finished or not found:
            return
        masks, passed_on = self._availability.masks, 0
        for taker in self._takers.values():
            if taker.passes_on(now):
                passed_on |= masks.of(taker.pieces)
        self._hoarded = [index for index in self._stuck if not passed_on & masks.bit(index)]
